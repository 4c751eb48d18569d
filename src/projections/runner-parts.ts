/** What a runner is made of: by `startProjection`, and by nobody else. */

import type { CheckpointDirectory } from "./checkpoint-directory.js";
import type { CheckpointKeeper } from "./checkpoint-keeper.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import type { ProjectionProgress } from "./projection-progress.js";
import type { Reactions } from "./reactions.js";
import type { ProjectionReport, RunnerSettings } from "./runner-options.js";
import type { ProjectionRecovery } from "./runner-start.js";
import type { Track } from "./track.js";

export interface RunnerParts<State, Event extends FeedEvent> {
  readonly feed: EventFeed<Event>;
  readonly directory: CheckpointDirectory;
  readonly settings: RunnerSettings<State, Event>;
  readonly current: Track<State, Event>;
  readonly previous: Track<State, Event> | null;
  /** Null on a read-only store. */
  readonly keeper: CheckpointKeeper<State, Event> | null;
  readonly recovery: ProjectionRecovery;
  readonly report: (report: ProjectionReport) => void;
  readonly tellProgress: ((progress: ProjectionProgress) => void) | null;
  /** Null where there is nothing to call, or on a read-only store. */
  readonly reactions: Reactions | null;
  readonly isPaused: boolean;
  /** Frees the name, once nothing more will be written. */
  readonly release: () => void;
}
