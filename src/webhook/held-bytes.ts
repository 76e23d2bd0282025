/** Bounds the bytes that are kept for clients that are slow to send a body or to take an answer. */
import type { Socket } from 'node:net';
import { findOldestOfHeaviest } from '../eviction.js';

export interface Hold {
  /** The bytes that are kept now. */
  resize(bytes: number): void;
  /** May be called again. */
  release(): void;
}

export interface HeldBytes {
  /**
   * It holds nothing at first.
   * @param giveUp called where there is no room and this is the oldest of the address that holds most. What was held must then be let go.
   */
  hold(socket: Socket, giveUp: () => void): Hold;
}

interface Holder {
  readonly address: string | undefined;
  readonly giveUp: () => void;
  bytes: number;
}

export function createHeldBytes(most: number): HeldBytes {
  /** From the oldest to the newest. */
  const holders = new Set<Holder>();
  let bytesOfAll = 0;
  const release = (holder: Holder): void => {
    if (holders.delete(holder)) bytesOfAll -= holder.bytes;
  };
  const makeRoom = (): void => {
    while (bytesOfAll > most) {
      const victim = findOldestOfHeaviest(
        holders,
        ({ address }) => address,
        ({ bytes }) => bytes,
      );
      if (victim === undefined) return;
      release(victim);
      victim.giveUp();
    }
  };
  return {
    hold: (socket, giveUp) => {
      const holder: Holder = { address: socket.remoteAddress, giveUp, bytes: 0 };
      holders.add(holder);
      return {
        resize: (bytes) => {
          if (!holders.has(holder)) return;
          bytesOfAll += bytes - holder.bytes;
          holder.bytes = bytes;
          makeRoom();
        },
        release: () => release(holder),
      };
    },
  };
}
