/** When the token manager asks, what it keeps and what it publishes, under clocks that the test moves. */
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
import { createTokenManager, type TokenManager } from '../../src/sidecar/token-manager.js';
import { epochMs, milliseconds } from '../../src/time.js';
import { CLIENT, CREDENTIAL_FILE, TENANT } from '../support/sidecar-fixture.js';

const START_MS = Date.parse('2026-03-01T12:00:00Z');
/** What the clock that does not jump shows at the start. */
const BOOT_MS = 5_000;

interface Simulation {
  readonly manager: TokenManager;
  readonly directory: string;
  /** Moves both clocks and lets everything due happen, in steps of 250 ms. */
  readonly pass: (seconds: number) => Promise<void>;
  /** Sets the wall clock forward or back; timers don't notice. */
  readonly jump: (seconds: number) => void;
  /** When it asked, seconds since the start. */
  readonly asked: number[];
  /** Writes and removals in the directory, in order. */
  readonly writes: string[];
  readonly logs: string[];
  readonly state: () => string;
  readonly hasFile: () => boolean;
  /** Spans of the timers. */
  readonly sleepsMs: number[];
  readonly countCollections: () => number;
  /** Timers that are armed. */
  readonly countTimers: () => number;
}

type Reaction = (attempt: number) => Answer | Promise<Answer>;

interface SimulationOptions {
  readonly startup?: Startup;
  readonly prepare?: (directory: string) => void;
  readonly wrap?: (directory: StateDirectory) => Partial<StateDirectory>;
}

function simulate(t: Test, react: Reaction, { startup = 'wait', prepare, wrap }: SimulationOptions = {}): Simulation {
  const directory = mkdtempSync(join(tmpdir(), 'ado-git-token-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  prepare?.(directory);
  let nowMs = START_MS;
  let elapsedMs = BOOT_MS;
  const timers = new Set<{ atMs: number; action: () => void }>();
  const asked: number[] = [];
  const writes: string[] = [];
  const logs: string[] = [];
  const sleepsMs: number[] = [];
  let collections = 0;
  const real = openStateDirectory(directory);
  const manager = createTokenManager({
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
        writes.push(`write ${name}`);
        real.write(name, text);
      },
      remove: (name) => {
        writes.push(`remove ${name}`);
        real.remove(name);
      },
      ...wrap?.(real),
    },
    ask: async () => {
      asked.push((elapsedMs - BOOT_MS) / 1000);
      return await react(asked.length);
    },
    clock: {
      read: () => ({ epochMs: epochMs(nowMs), elapsedMs: milliseconds(elapsedMs) }),
      after: (spanMs, action) => {
        sleepsMs.push(spanMs);
        const timer = { atMs: elapsedMs + spanMs, action };
        timers.add(timer);
        return () => timers.delete(timer);
      },
    },
    random: () => 0,
    log: createLogger(
      'debug',
      (line) => logs.push(line),
      () => epochMs(nowMs),
    ),
    collectGarbage: () => (collections += 1),
  });
  manager.open();
  manager.start();

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    for (const timer of [...timers].filter(({ atMs }) => atMs <= elapsedMs)) {
      timers.delete(timer);
      timer.action();
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    }
  };
  return {
    manager,
    directory,
    asked,
    writes,
    logs,
    sleepsMs,
    countCollections: () => collections,
    countTimers: () => timers.size,
    jump: (seconds) => void (nowMs += seconds * 1000),
    state: () => readFileSync(join(directory, 'state'), 'utf8'),
    hasFile: () => existsSync(join(directory, CREDENTIAL_FILE)),
    async pass(seconds) {
      await settle();
      for (let step = 0; step < seconds * 4; step += 1) {
        nowMs += 250;
        elapsedMs += 250;
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

void t.test('without any answer git waits 60 s and gets the reason', async (t) => {
  for (const startup of ['proceed', 'wait', 'require'] as const) {
    const simulation = simulate(t, () => never, { startup });
    t.equal(
      simulation.state(),
      'state=pending\nmessage=Entra at https://login.microsoftonline.com has not answered yet.\n',
    );
    await simulation.pass(59);
    t.match(simulation.state(), /^state=pending\n/);
    t.equal(simulation.manager.hasStarted(), startup === 'proceed', startup);
    await simulation.pass(1);
    t.match(
      simulation.state(),
      /^state=failed\nmessage=There is no token after 60 s\. Entra at \S+ has not answered yet\.\n$/,
    );
    t.equal(simulation.manager.hasStarted(), startup !== 'require', startup);
    t.strictSame(simulation.asked, [0], 'one request at a time');
  }
});

void t.test('after 60 s the reason is the last failure, and a late token is still a token', async (t) => {
  const simulation = simulate(t, (attempt) => (attempt < 17 ? fail() : token(3600)));
  await simulation.pass(58);
  t.equal(simulation.state(), 'state=pending\nmessage=Entra is away.\n');
  t.strictSame(simulation.asked.slice(0, 6), [0, 1, 3, 7, 12, 17]);
  await simulation.pass(3);
  t.equal(simulation.state(), 'state=failed\nmessage=There is no token after 60 s. Entra is away.\n');
  await simulation.pass(15);
  t.match(simulation.state(), new RegExp(`^state=ready\nfile=${CREDENTIAL_FILE}\nmessage=`));
});

void t.test('a long message is logged in full once an hour, and shortened with a count in between', async (t) => {
  const message = `No federated credential matches: ${'az identity federated-credential create '.repeat(15)}--end`;
  const refusal = fail({ class: 'propagation', message, detail: 'AADSTS700213: No match' });
  const other = fail({ class: 'transient', message: 'Entra is away.' });
  const simulation = simulate(t, (attempt) => (attempt === 40 ? other : refusal));
  await simulation.pass(240);
  const lines = simulation.logs.map(
    (line) => JSON.parse(line) as { message: string; detail?: string; repeated?: number },
  );
  t.ok(lines.length > 20);
  t.match(lines[0], { message, detail: 'AADSTS700213: No match' });
  t.match(lines[1], { message: /^No federated credential matches: .{10,70} …$/, repeated: 1, nextInSeconds: 2 });
  t.notOk(lines[1]?.detail);
  t.equal(lines.at(-1)?.repeated, lines.length - 1);
  await simulation.pass(4500);
  const full = simulation.logs
    .map((line, index) => (line.includes('--end') ? index : -1))
    .filter((index) => index >= 0);
  t.strictSame(full.slice(0, 2), [0, 40], 'another failure came between');
  t.equal(full.length, 3, 'and the hour ended');
});

void t.test('a failure that waiting does not resolve ends the wait, and containers are not held again', async (t) => {
  const simulation = simulate(t, (attempt) =>
    attempt === 1 ? fail({ class: 'config', quick: true, message: 'The subject.' }) : fail(),
  );
  await simulation.pass(0);
  t.equal(simulation.state(), 'state=failed\nmessage=The subject.\n');
  t.ok(simulation.manager.hasStarted());
  await simulation.pass(2);
  t.ok(simulation.manager.hasStarted());
  t.strictSame(simulation.asked, [0, 1]);
});

void t.test('while Entra does not reach the issuer, git waits; retries are quick at first, then slow', async (t) => {
  const unreachable = fail({ class: 'retry-slowly', quick: true, message: 'The issuer.' });
  const passing = simulate(t, (attempt) => (attempt < 4 ? unreachable : token(3600)));
  await passing.pass(6);
  t.equal(passing.state(), 'state=pending\nmessage=The issuer.\n');
  await passing.pass(1);
  t.match(passing.state(), /^state=ready\n/);

  const lasting = simulate(t, () => unreachable);
  await lasting.pass(119);
  const quick = lasting.asked.length;
  t.strictSame(lasting.asked.slice(0, 6), [0, 1, 3, 7, 12, 17]);
  t.ok(quick > 20, 'within seconds for two minutes');
  await lasting.pass(900);
  t.equal(lasting.asked.length, quick + 3, 'then every five minutes');

  const late = simulate(t, (attempt) => (attempt < 30 ? fail() : unreachable));
  await late.pass(900);
  const pauses = late.asked.map((moment, index) => (late.asked[index + 1] ?? moment) - moment);
  t.strictSame(pauses.slice(29, 34), [30, 30, 30, 30, 300], 'also after an outage of another kind');
});

void t.test('a token is renewed in time, and served to its end whatever Entra answers', async (t) => {
  const simulation = simulate(t, (attempt) => (attempt <= 2 ? token(100) : fail({ class: 'config', message: 'No.' })));
  await simulation.pass(1);
  t.match(simulation.state(), /^state=ready\n/);
  t.equal(
    readFileSync(join(simulation.directory, CREDENTIAL_FILE), 'utf8'),
    `username=ado-git-identity\npassword=tok.en\npassword_expiry_utc=${START_MS / 1000 + 100}\n`,
  );
  await simulation.pass(59);
  t.strictSame(simulation.asked, [0, 50], 'at half of its life');
  await simulation.pass(89);
  t.ok(simulation.manager.isReady() && simulation.hasFile(), 'valid to the last second');
  t.match(JSON.parse(simulation.manager.formatStatus()), {
    identities: [{ state: 'ready', error: { class: 'config', message: 'No.' } }],
  });
  simulation.writes.length = 0;
  await simulation.pass(1);
  t.notOk(simulation.manager.isReady() || simulation.hasFile());
  t.match(
    simulation.state(),
    /^state=failed\nmessage=The token expired at 2026-03-01T12:02:30.000Z and there is no new one\. No\.\n$/,
  );
  t.strictSame(
    simulation.writes.slice(0, 3),
    ['write state', 'write status.json', `remove ${CREDENTIAL_FILE}`],
    'published before it is removed',
  );
  t.equal(simulation.countCollections(), 2 * simulation.asked.length);
  t.ok(simulation.manager.hasStarted());
});

void t.test('a short outage at the renewal costs nothing', async (t) => {
  const simulation = simulate(t, (attempt) => (attempt === 1 || attempt > 12 ? token(90) : fail()));
  await simulation.pass(84);
  t.ok(simulation.manager.isReady());
  await simulation.pass(20);
  t.ok(simulation.manager.isReady(), 'renewed between');
  t.notOk(simulation.logs.join('').includes('token expired'));
});

void t.test('clocks that are set, and machines that sleep', async (t) => {
  const slept = simulate(t, (attempt) => (attempt === 1 ? token(3600) : never));
  await slept.pass(10);
  slept.jump(4000);
  t.notOk(slept.manager.isReady(), 'an expired token is never served');
  await slept.pass(31);
  t.notOk(slept.hasFile(), 'and soon removed');
  t.equal(slept.asked.length, 2, 'and a new one asked for');

  const setBack = simulate(t, (attempt) => (attempt === 1 ? token(100) : never));
  await setBack.pass(10);
  setBack.jump(-7200);
  await setBack.pass(89);
  t.ok(setBack.manager.isReady());
  await setBack.pass(2);
  t.notOk(setBack.manager.isReady() || setBack.hasFile(), 'a clock that is set back makes no token live longer');

  const paused = simulate(t, () => fail());
  await paused.pass(5);
  paused.jump(-7200);
  const before = paused.asked.length;
  await paused.pass(6);
  t.ok(paused.asked.length > before, 'nor a pause');

  const long = simulate(t, () => token(30 * 86400));
  await long.pass(61);
  t.equal(Math.max(...long.sleepsMs), 5000, 'no timer passes five seconds');
});

void t.test('an assertion that is refused is read again at once, once', async (t) => {
  const simulation = simulate(t, () => fail({ class: 're-read-once', aadsts: 700024, message: 'The clock.' }));
  await simulation.pass(1);
  t.strictSame(simulation.asked.map(Math.floor), [0, 0]);
  t.equal(simulation.state(), 'state=failed\nmessage=The clock.\n');
  await simulation.pass(60);
  t.equal(simulation.asked.length, 3, 'then like a matter of configuration');
});

void t.test('what an earlier run left', async (t) => {
  const credential = (seconds: number, user = 'ado-git-identity'): string =>
    `username=${user}\npassword=old\npassword_expiry_utc=${START_MS / 1000 + seconds}\n`;
  const cases: [name: string, content: string, adopted: boolean][] = [
    ['valid', credential(600), true],
    ['expired', credential(0), false],
    ['absurd', credential(1e8), false],
    ['of another user', credential(600, 'me'), false],
    ['cut', credential(600).slice(0, -1), false],
    ['empty', '', false],
  ];
  for (const [name, content, adopted] of cases) {
    const simulation = simulate(t, () => never, {
      startup: 'require',
      prepare: (directory) => {
        for (const file of [CREDENTIAL_FILE, `credential-${TENANT}-${CLIENT}`, `.new-${CREDENTIAL_FILE}`, 'other']) {
          writeFileSync(join(directory, file), content);
        }
      },
    });
    t.equal(simulation.hasFile(), adopted, name);
    t.equal(simulation.manager.hasStarted(), adopted, name);
    t.match(simulation.state(), adopted ? /^state=ready\n/ : /^state=pending\n/, name);
    t.strictSame(
      readdirSync(simulation.directory).sort(),
      [...(adopted ? [CREDENTIAL_FILE] : []), 'other', 'state', 'status.json'].sort(),
    );
    await simulation.pass(299);
    t.equal(simulation.asked.length, adopted ? 0 : 1, name);
    await simulation.pass(1);
    t.equal(simulation.asked.length, 1, `${name}: asked at half of what was left`);
  }
});

void t.test('a full disk', async (t) => {
  let full = true;
  const simulation = simulate(t, () => token(3600), {
    wrap: (real) => ({
      write: (name, text) => {
        if (full && name === CREDENTIAL_FILE)
          throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
        real.write(name, text);
      },
    }),
  });
  await simulation.pass(4);
  t.match(
    simulation.state(),
    /^state=pending\nmessage=The sidecar can't write its directory \S+: ENOSPC: no space left\.\n$/,
  );
  t.notOk(simulation.manager.isReady());
  t.equal(simulation.logs.filter((line) => line.includes('ENOSPC')).length, 1, 'logged once');
  full = false;
  await simulation.pass(6);
  t.ok(simulation.manager.isReady() && simulation.hasFile());
  t.match(simulation.state(), /^state=ready\n/);
  t.equal(simulation.asked.length, 1, 'the token was kept meanwhile');
});

void t.test('an answer that comes after the stop changes nothing and starts no timer', async (t) => {
  let answer: (value: Answer) => void = () => undefined;
  const simulation = simulate(t, () => new Promise<Answer>((resolve) => (answer = resolve)));
  await simulation.pass(0);
  simulation.manager.stop();
  answer(token(3600));
  await simulation.pass(10);
  t.strictSame([simulation.countTimers(), simulation.asked.length], [0, 1]);
  t.notOk(simulation.hasFile());
});
