import type { Command } from "commander";
import { type CommonOptions, keylessCommand } from "../arguments.js";
import { diagnose, examine, type Finding } from "../doctor.js";
import { EXIT_FAILED } from "../failure.js";
import type { CommandContext } from "../program.js";

const SIGNS = { ok: "✓", warning: "!", problem: "✗" } as const;

export function doctorCommand(context: CommandContext): Command {
  return keylessCommand("doctor", "say what a store would find on this machine, and what to do about it").action(
    async ({ store }: CommonOptions) => {
      const facts = await examine(store);
      const findings = diagnose(facts);
      const isFit = findings.every((finding) => finding.status !== "problem");
      await context.output.print({ ok: isFit, ...facts, findings }, () => findings.map(formatFinding).join("\n"));
      if (!isFit) context.exitCode = EXIT_FAILED;
    },
  );
}

function formatFinding({ name, status, found, advice }: Finding): string {
  const line = `${SIGNS[status]} ${name.padEnd(11)} ${found}`;
  return advice === null ? line : `${line}\n  ${" ".repeat(11)} → ${advice}`;
}
