/** When the keeper asks, what it keeps and what it tells, under clocks that the test moves. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Answer } from '../../src/entra/answer.js';
import type { Failure } from '../../src/entra/failure.js';
import { createLogger } from '../../src/log.js';
import type { Startup } from '../../src/names.js';
import { readSidecarConfig } from '../../src/sidecar/config.js';
import { openStateDirectory, type StateDirectory } from '../../src/sidecar/state-directory.js';
import { TokenManager } from '../../src/sidecar/token-manager.js';
import { CLIENT, CREDENTIAL_FILE, TENANT } from '../support/sidecar-fixture.js';

const START = Date.parse('2026-03-01T12:00:00Z');

interface Play {
  readonly keeper: TokenManager;
  readonly directory: string;
  /** Moves both clocks and lets everything due happen, a second at a time. */
  readonly pass: (seconds: number) => Promise<void>;
  /** Sets the wall clock by so many seconds; timers don't notice. */
  readonly jump: (seconds: number) => void;
  /** When it asked, seconds since the start. */
  readonly asked: number[];
  /** What is done with the directory, in order. */
  readonly done: string[];
  readonly logs: string[];
  readonly state: () => string;
  readonly hasFile: () => boolean;
  readonly sleeps: number[];
  readonly collections: () => number;
}

type Reaction = (attempt: number) => Answer | Promise<Answer>;

interface PlayOptions {
  readonly startup?: Startup;
  readonly prepare?: (directory: string) => void;
  readonly wrap?: (directory: StateDirectory) => Partial<StateDirectory>;
}

function play(t: Test, react: Reaction, { startup = 'wait', prepare, wrap }: PlayOptions = {}): Play {
  const directory = mkdtempSync(join(tmpdir(), 'ado-git-keeper-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  prepare?.(directory);
  let now = START;
  let elapsed = 5_000;
  const timers = new Set<{ at: number; action: () => void }>();
  const asked: number[] = [];
  const done: string[] = [];
  const logs: string[] = [];
  const sleeps: number[] = [];
  let collections = 0;
  const real = openStateDirectory(directory);
  const keeper = new TokenManager({
    config: readSidecarConfig({
      ADO_GIT_CLIENT_ID: CLIENT,
      ADO_GIT_TENANT_ID: TENANT,
      ADO_GIT_DIRECTORY: directory,
      ADO_GIT_STARTUP: startup,
    }),
    version: 'test',
    directory: {
      ...real,
      write: (name, text) => {
        done.push(`write ${name}`);
        real.write(name, text);
      },
      remove: (name) => {
        done.push(`remove ${name}`);
        real.remove(name);
      },
      ...wrap?.(real),
    },
    ask: async () => {
      asked.push((elapsed - 5_000) / 1000);
      return await react(asked.length);
    },
    clock: {
      now: () => now,
      elapsed: () => elapsed,
      after: (milliseconds, action) => {
        sleeps.push(milliseconds);
        const timer = { at: elapsed + milliseconds, action };
        timers.add(timer);
        return () => timers.delete(timer);
      },
    },
    random: () => 0,
    log: createLogger(
      'debug',
      (line) => logs.push(line),
      () => now,
    ),
    collectGarbage: () => (collections += 1),
  });
  keeper.open();
  keeper.start();

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    for (const timer of [...timers].filter(({ at }) => at <= elapsed)) {
      timers.delete(timer);
      timer.action();
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    }
  };
  return {
    keeper,
    directory,
    asked,
    done,
    logs,
    sleeps,
    collections: () => collections,
    jump: (seconds) => void (now += seconds * 1000),
    state: () => readFileSync(join(directory, 'state'), 'utf8'),
    hasFile: () => existsSync(join(directory, CREDENTIAL_FILE)),
    async pass(seconds) {
      await settle();
      for (let step = 0; step < seconds * 4; step += 1) {
        now += 250;
        elapsed += 250;
        await settle();
      }
    },
  };
}

const token = (expiresInSeconds: number): Answer => ({
  kind: 'token',
  accessToken: 'tok.en',
  expiresInSeconds,
  refreshInSeconds: undefined,
});
const fail = (part: Partial<Failure> = {}): Answer => ({
  kind: 'failure',
  failure: { class: 'transient', code: 'http-503', message: 'Entra is away.', ...part },
});
const never = new Promise<Answer>(() => undefined);

void t.test('without any answer git waits 60 s and is told so', async (t) => {
  for (const startup of ['proceed', 'wait', 'require'] as const) {
    const world = play(t, () => never, { startup });
    t.equal(world.state(), 'state=pending\nmessage=Entra at https://login.microsoftonline.com has not answered yet.\n');
    await world.pass(59);
    t.match(world.state(), /^state=pending\n/);
    t.equal(world.keeper.hasStarted(), startup === 'proceed', startup);
    await world.pass(1);
    t.match(
      world.state(),
      /^state=failed\nmessage=There is no token after 60 s\. Entra at \S+ has not answered yet\.\n$/,
    );
    t.equal(world.keeper.hasStarted(), startup !== 'require', startup);
    t.strictSame(world.asked, [0], 'one request at a time');
  }
});

void t.test('after 60 s the reason is the last failure, and a late token is still a token', async (t) => {
  const world = play(t, (attempt) => (attempt < 17 ? fail() : token(3600)));
  await world.pass(58);
  t.equal(world.state(), 'state=pending\nmessage=Entra is away.\n');
  t.strictSame(world.asked.slice(0, 6), [0, 1, 3, 7, 12, 17]);
  await world.pass(3);
  t.equal(world.state(), 'state=failed\nmessage=There is no token after 60 s. Entra is away.\n');
  await world.pass(15);
  t.match(world.state(), new RegExp(`^state=ready\nfile=${CREDENTIAL_FILE}\nmessage=`));
});

void t.test('what waiting can not mend ends the wait, and containers are not held again', async (t) => {
  const world = play(t, (attempt) =>
    attempt === 1 ? fail({ class: 'config', quick: true, message: 'The subject.' }) : fail(),
  );
  await world.pass(0);
  t.equal(world.state(), 'state=failed\nmessage=The subject.\n');
  t.ok(world.keeper.hasStarted());
  await world.pass(2);
  t.ok(world.keeper.hasStarted());
  t.strictSame(world.asked, [0, 1]);
});

void t.test('a token is renewed in time, and served to its end whatever Entra answers', async (t) => {
  const world = play(t, (attempt) => (attempt <= 2 ? token(100) : fail({ class: 'config', message: 'No.' })));
  await world.pass(1);
  t.match(world.state(), /^state=ready\n/);
  t.equal(
    readFileSync(join(world.directory, CREDENTIAL_FILE), 'utf8'),
    `username=ado-git-identity\npassword=tok.en\npassword_expiry_utc=${START / 1000 + 100}\n`,
  );
  await world.pass(59);
  t.strictSame(world.asked, [0, 50], 'at half of its life');
  await world.pass(89);
  t.ok(world.keeper.isReady() && world.hasFile(), 'valid to the last second');
  t.match(JSON.parse(world.keeper.formatStatus()), {
    identities: [{ state: 'ready', error: { class: 'config', message: 'No.' } }],
  });
  world.done.length = 0;
  await world.pass(1);
  t.notOk(world.keeper.isReady() || world.hasFile());
  t.match(
    world.state(),
    /^state=failed\nmessage=The token ended at 2026-03-01T12:02:30.000Z and there is no new one\. No\.\n$/,
  );
  t.strictSame(
    world.done.slice(0, 3),
    ['write state', 'write status.json', `remove ${CREDENTIAL_FILE}`],
    'told before it is removed',
  );
  t.equal(world.collections(), 2 * world.asked.length);
  t.ok(world.keeper.hasStarted());
});

void t.test('a short outage at the renewal costs nothing', async (t) => {
  const world = play(t, (attempt) => (attempt === 1 || attempt > 12 ? token(90) : fail()));
  await world.pass(84);
  t.ok(world.keeper.isReady());
  await world.pass(20);
  t.ok(world.keeper.isReady(), 'renewed between');
  t.notOk(world.logs.join('').includes('token expired'));
});

void t.test('clocks that are set and machines that sleep', async (t) => {
  const slept = play(t, (attempt) => (attempt === 1 ? token(3600) : never));
  await slept.pass(10);
  slept.jump(4000);
  t.notOk(slept.keeper.isReady(), 'an ended token is never served');
  await slept.pass(31);
  t.notOk(slept.hasFile(), 'and soon removed');
  t.equal(slept.asked.length, 2, 'and a new one asked for');

  const setBack = play(t, (attempt) => (attempt === 1 ? token(100) : never));
  await setBack.pass(10);
  setBack.jump(-7200);
  await setBack.pass(89);
  t.ok(setBack.keeper.isReady());
  await setBack.pass(2);
  t.notOk(setBack.keeper.isReady() || setBack.hasFile(), 'a clock that is set back makes no token live longer');

  const paused = play(t, () => fail());
  await paused.pass(5);
  paused.jump(-7200);
  const before = paused.asked.length;
  await paused.pass(6);
  t.ok(paused.asked.length > before, 'nor a pause');

  const long = play(t, () => token(30 * 86400));
  await long.pass(61);
  t.equal(Math.max(...long.sleeps), 5000, 'no timer passes five seconds');
});

void t.test('an assertion that is refused is read again at once, once', async (t) => {
  const world = play(t, () => fail({ class: 're-read-once', aadsts: 700024, message: 'The clock.' }));
  await world.pass(1);
  t.strictSame(world.asked.map(Math.floor), [0, 0]);
  t.equal(world.state(), 'state=failed\nmessage=The clock.\n');
  await world.pass(60);
  t.equal(world.asked.length, 3, 'then like a matter of configuration');
});

void t.test('what an earlier run left', async (t) => {
  const credential = (seconds: number, user = 'ado-git-identity'): string =>
    `username=${user}\npassword=old\npassword_expiry_utc=${START / 1000 + seconds}\n`;
  const cases: [name: string, content: string, adopted: boolean][] = [
    ['valid', credential(600), true],
    ['ended', credential(0), false],
    ['absurd', credential(1e8), false],
    ['of another user', credential(600, 'me'), false],
    ['cut', credential(600).slice(0, -1), false],
    ['empty', '', false],
  ];
  for (const [name, content, adopted] of cases) {
    const world = play(t, () => never, {
      startup: 'require',
      prepare: (directory) => {
        for (const file of [CREDENTIAL_FILE, `credential-${TENANT}-${CLIENT}`, `.new-${CREDENTIAL_FILE}`, 'other']) {
          writeFileSync(join(directory, file), content);
        }
      },
    });
    t.equal(world.hasFile(), adopted, name);
    t.equal(world.keeper.hasStarted(), adopted, name);
    t.match(world.state(), adopted ? /^state=ready\n/ : /^state=pending\n/, name);
    t.strictSame(
      readdirSync(world.directory).sort(),
      [...(adopted ? [CREDENTIAL_FILE] : []), 'other', 'state', 'status.json'].sort(),
    );
    await world.pass(299);
    t.equal(world.asked.length, adopted ? 0 : 1, name);
    await world.pass(1);
    t.equal(world.asked.length, 1, `${name}: asked at half of what was left`);
  }
});

void t.test('a full disk', async (t) => {
  let full = true;
  const world = play(t, () => token(3600), {
    wrap: (real) => ({
      write: (name, text) => {
        if (full && name === CREDENTIAL_FILE)
          throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
        real.write(name, text);
      },
    }),
  });
  await world.pass(4);
  t.match(
    world.state(),
    /^state=pending\nmessage=The sidecar can't write its directory \S+: ENOSPC: no space left\.\n$/,
  );
  t.notOk(world.keeper.isReady());
  t.equal(world.logs.filter((line) => line.includes('ENOSPC')).length, 1, 'said once');
  full = false;
  await world.pass(6);
  t.ok(world.keeper.isReady() && world.hasFile());
  t.match(world.state(), /^state=ready\n/);
  t.equal(world.asked.length, 1, 'the token was kept meanwhile');
});
