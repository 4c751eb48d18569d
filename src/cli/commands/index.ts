/** Every command, in the order of the help. */

import { Command } from "commander";
import type { CommandBuilder, CommandContext } from "../program.js";
import { anchorCommand } from "./anchor.js";
import { appendCommand } from "./append.js";
import { backupCommand } from "./backup.js";
import { benchAppendCommand } from "./bench-append.js";
import { benchFollowCommand } from "./bench-follow.js";
import { benchGraphCommand } from "./bench-graph.js";
import { benchRebuildCommand } from "./bench-rebuild.js";
import { benchRecoverCommand } from "./bench-recover.js";
import { benchReplayCommand } from "./bench-replay.js";
import { benchMergeCommand, benchOpenCommand } from "./bench-sealed.js";
import { benchVectorsCommand } from "./bench-vectors.js";
import { checkpointCommand } from "./checkpoint.js";
import { compactCommand } from "./compact.js";
import { coresCommand } from "./cores.js";
import { demoCommand } from "./demo.js";
import { doctorCommand } from "./doctor.js";
import { forgetCommand } from "./forget.js";
import { graphBatchCommand } from "./graph-batch.js";
import { graphChangesCommand } from "./graph-changes.js";
import { graphComponentsCommand } from "./graph-components.js";
import { graphConstraintCommand } from "./graph-constraint.js";
import { graphDegreeCommand } from "./graph-degree.js";
import { graphDiffCommand } from "./graph-diff.js";
import { graphEdgeCommand, graphEdgesCommand } from "./graph-edge.js";
import { graphExportCommand } from "./graph-export.js";
import { graphFindCommand } from "./graph-find.js";
import { graphHistoryCommand } from "./graph-history.js";
import { graphLineageCommand } from "./graph-lineage.js";
import { graphLsnCommand } from "./graph-lsn.js";
import { graphMatchCommand } from "./graph-match.js";
import { graphNearestCommand } from "./graph-nearest.js";
import { graphNeighborsCommand } from "./graph-neighbors.js";
import { graphNodeCommand } from "./graph-node.js";
import { graphOverlapsCommand } from "./graph-overlaps.js";
import { graphPathCommand } from "./graph-path.js";
import { graphPurgeCommand } from "./graph-purge.js";
import { graphRankCommand } from "./graph-rank.js";
import { graphSnapshotCommand } from "./graph-snapshot.js";
import { graphProvenanceCommand, graphRejectionsCommand, graphStatusCommand } from "./graph-status.js";
import { graphSubgraphCommand } from "./graph-subgraph.js";
import { graphTraverseCommand } from "./graph-traverse.js";
import { graphVectorsCommand } from "./graph-vectors.js";
import { graphVersionCommand } from "./graph-version.js";
import {
  graphCreateCommand,
  graphDeleteCommand,
  graphPatchCommand,
  graphPutCommand,
  graphReplaceCommand,
  graphRetractCommand,
  graphUpsertCommand,
} from "./graph-write.js";
import { importGitCommand } from "./import-git.js";
import { importNdjsonCommand } from "./import-ndjson.js";
import { inspectCommand } from "./inspect.js";
import {
  projectionListCommand,
  projectionPauseCommand,
  projectionRebuildCommand,
  projectionResumeCommand,
  projectionStatusCommand,
} from "./projection.js";
import { readCommand } from "./read.js";
import { rekeyCommand } from "./rekey.js";
import { repairCommand } from "./repair.js";
import { restoreCommand } from "./restore.js";
import { salvageCommand } from "./salvage.js";
import { scavengeCommand } from "./scavenge.js";
import { statsCommand } from "./stats.js";
import { streamCommand } from "./stream-retention.js";
import { truncateCommand } from "./truncate.js";
import { verifyCommand } from "./verify.js";

export const COMMANDS: readonly CommandBuilder[] = [
  demoCommand,
  group("import", "import events from elsewhere", [importGitCommand, importNdjsonCommand]),
  appendCommand,
  readCommand,
  group("graph", "ask the bi-temporal graph, and change it", [
    graphFindCommand,
    graphNodeCommand,
    graphEdgeCommand,
    graphEdgesCommand,
    graphMatchCommand,
    graphNeighborsCommand,
    graphDegreeCommand,
    graphTraverseCommand,
    graphPathCommand,
    graphSubgraphCommand,
    graphComponentsCommand,
    graphRankCommand,
    graphNearestCommand,
    graphHistoryCommand,
    graphVersionCommand,
    graphDiffCommand,
    graphChangesCommand,
    graphOverlapsCommand,
    graphLineageCommand,
    graphProvenanceCommand,
    graphLsnCommand,
    graphExportCommand,
    graphStatusCommand,
    graphRejectionsCommand,
    graphCreateCommand,
    graphUpsertCommand,
    graphPutCommand,
    graphPatchCommand,
    graphReplaceCommand,
    graphDeleteCommand,
    graphRetractCommand,
    graphBatchCommand,
    graphSnapshotCommand,
    graphConstraintCommand,
    graphVectorsCommand,
    graphPurgeCommand,
  ]),
  group("projection", "look at read models, rebuild them, have them stand still", [
    projectionListCommand,
    projectionStatusCommand,
    projectionRebuildCommand,
    projectionPauseCommand,
    projectionResumeCommand,
  ]),
  checkpointCommand,
  compactCommand,
  backupCommand,
  restoreCommand,
  rekeyCommand,
  streamCommand,
  scavengeCommand,
  forgetCommand,
  truncateCommand,
  verifyCommand,
  anchorCommand,
  repairCommand,
  salvageCommand,
  statsCommand,
  inspectCommand,
  coresCommand,
  doctorCommand,
  group("bench", "measure what this machine can do", [
    benchAppendCommand,
    benchRecoverCommand,
    benchRebuildCommand,
    benchFollowCommand,
    benchReplayCommand,
    benchGraphCommand,
    benchVectorsCommand,
    benchOpenCommand,
    benchMergeCommand,
  ]),
];

function group(name: string, summary: string, members: readonly CommandBuilder[]): CommandBuilder {
  return (context: CommandContext) => {
    const command = new Command(name).summary(summary).description(summary);
    for (const build of members) command.addCommand(build(context));
    return command;
  };
}
