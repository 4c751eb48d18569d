/** What a seed decides before anything happens: who runs, what they do, what goes wrong. */

import { type Chance, chance } from "./chance.js";
import { type FaultName, type FaultRates, NO_FAULTS } from "./faults.js";

/** Where backups go. */
export const BACKUP_DIRECTORIES: readonly string[] = ["/backup-a", "/backup-b"];

/** Above it seeds have events of subjects, who are forgotten. Those below do what they did before there were these. */
export const SUBJECT_SEEDS = 1_000_000;
/** Above it the log of such a store is damaged as well, and its end rots before it is repaired. */
export const DAMAGED_SUBJECT_SEEDS = 2_000_000;
/** Those above it are of others. */
const OTHER_SEEDS = 3_000_000;
export const SUBJECT_KEYS_FILE = "/subjects";
/** Where bits rot in a store with subjects: the log, whatever is beside it. What is damaged of the key file is gone, as documented. */
const LOG_FILES: readonly string[] = ["/store/wal/", "/store/log/", "/store/manifest-"];

export interface SeedPlan {
  readonly generations: number;
  readonly writers: number;
  readonly hasReader: boolean;
  readonly segmentBytes: number;
  readonly busyWaitMs: number;
  readonly rates: FaultRates;
  readonly isDamaging: boolean;
  /** Of a writer's process in a generation, that it is killed. */
  readonly deaths: number;
  readonly checkpoints: number;
  readonly async: number;
  readonly hasProjections: boolean;
  readonly hasRetention: boolean;
  readonly hasGraph: boolean;
  readonly clockSkew: boolean;
  /** Appends of one caller in one life of its process. */
  readonly steps: number;
  readonly isEncrypted: boolean;
  /** Of steps in an encrypted store. */
  readonly rotations: number;
  readonly backups: number;
  /** That everything is encrypted by one key, between two generations. */
  readonly rekeyings: number;
  /** That a copy of the disk rots, and is repaired. */
  readonly repairs: number;
  /** That of a copy which is repaired the first frame rots that nothing attests: whole ones can be behind it. */
  readonly rottenEnds: number;
  /** Where bits rot on the disk. */
  readonly rotting: readonly string[];
  /** Of events in a store with subjects, that it is about one; 0: it has none. */
  readonly subjects: number;
  /** Of steps, that a subject is forgotten. */
  readonly forgettings: number;
}

/** The highest probability of each fault that a seed can have, by operation. */
const RATE_MAX: FaultRates = {
  shortWrite: 0.08,
  again: 0.08,
  writeError: 0.01,
  syncError: 0.02,
  readError: 0.01,
  fullDisk: 0.02,
  lostWrite: 0.01,
  misdirectedWrite: 0.01,
  slowWrite: 0.03,
  stall: 0.02,
  bitRot: 0.6,
};
const HARMLESS: readonly FaultName[] = ["shortWrite", "again", "slowWrite", "stall"];
const FAILING: readonly FaultName[] = ["writeError", "syncError", "readError", "fullDisk"];
const DAMAGING: readonly FaultName[] = ["lostWrite", "misdirectedWrite", "bitRot"];

function ratesOf(names: readonly FaultName[], random: Chance): Record<FaultName, number> {
  const rates = { ...NO_FAULTS };
  for (const name of names) if (random.integer(3) === 0) rates[name] = RATE_MAX[name] * random.next();
  return rates;
}

/** By a chance of their own: what a seed did before there were these, it does still. */
function secretsOf(seed: number): Pick<SeedPlan, "isEncrypted" | "rotations" | "backups" | "rekeyings" | "repairs"> {
  const random = chance(seed, "secrets");
  const isEncrypted = random.integer(3) === 0;
  const rotations = isEncrypted ? random.pick([0, 0.03, 0.1]) : 0;
  const hasBackups = random.integer(3) === 0;
  const isRekeyed = random.integer(isEncrypted ? 2 : 12) === 0;
  const isRepaired = random.integer(4) === 0;
  return {
    isEncrypted,
    rotations,
    backups: hasBackups ? 0.05 : 0,
    rekeyings: isRekeyed ? 0.5 : 0,
    repairs: isRepaired ? 0.7 : 0,
  };
}

/** Nothing is damaged, and no graph: what is judged is who can read what. */
function withSubjects(plan: SeedPlan, seed: number): SeedPlan {
  const random = chance(seed, "subjects");
  return {
    ...plan,
    isEncrypted: true,
    isDamaging: false,
    rates: plan.isDamaging ? NO_FAULTS : { ...plan.rates, readError: 0 },
    hasGraph: false,
    hasRetention: false,
    rotations: random.pick([0, 0.03]),
    checkpoints: random.pick([0, 0.03, 0.1]),
    backups: random.pick([0, 0.05, 0.1]),
    rekeyings: random.pick([0, 0.5]),
    repairs: 0,
    subjects: random.pick([0.2, 0.6, 1]),
    forgettings: random.pick([0.05, 0.15]),
  };
}

/** What a device does to the log of a store with subjects. */
function withDamage(plan: SeedPlan, seed: number): SeedPlan {
  const random = chance(seed, "damage");
  const rates = { ...plan.rates, ...ratesOf(DAMAGING, random) };
  const certain = random.pick(DAMAGING);
  rates[certain] = RATE_MAX[certain] * (0.2 + 0.8 * random.next());
  return {
    ...plan,
    isDamaging: true,
    rates,
    repairs: random.pick([0.5, 1]),
    rottenEnds: random.pick([0, 0.5, 1]),
    rotting: LOG_FILES,
  };
}

export function planOf(seed: number): SeedPlan {
  const plan = plainPlanOf(seed);
  if (seed <= SUBJECT_SEEDS || seed > OTHER_SEEDS) return plan;
  const subjects = withSubjects(plan, seed);
  return seed > DAMAGED_SUBJECT_SEEDS ? withDamage(subjects, seed) : subjects;
}

function plainPlanOf(seed: number): SeedPlan {
  const random = chance(seed, "plan");
  const kinds = random.pick([
    [],
    HARMLESS,
    HARMLESS,
    [...HARMLESS, ...FAILING],
    [...HARMLESS, ...FAILING],
    [...HARMLESS, ...DAMAGING],
  ]);
  const rates = ratesOf(kinds, random);
  return {
    generations: 2 + random.integer(4),
    writers: random.pick([1, 2, 2, 3, 3]),
    hasReader: random.integer(3) === 0,
    segmentBytes: random.pick([64, 64, 128, 256]) * 1024,
    busyWaitMs: random.pick([500, 3000, 30_000]),
    rates,
    isDamaging: DAMAGING.some((name) => rates[name] > 0),
    deaths: random.pick([0, 0.4, 0.9]),
    checkpoints: random.pick([0, 0.03, 0.1]),
    async: random.pick([0, 0.1, 0.5]),
    hasProjections: random.integer(3) === 0,
    hasRetention: random.integer(4) === 0,
    hasGraph: random.integer(5) === 0,
    clockSkew: random.integer(3) === 0,
    steps: 4 + random.integer(20),
    ...secretsOf(seed),
    rottenEnds: 0,
    rotting: ["/"],
    subjects: 0,
    forgettings: 0,
  };
}
