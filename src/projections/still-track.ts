/** The state of a projection that runs, for those who change it beside the events: what was parked, and single documents. */

import type { EventFeed, FeedEvent } from "./event-feed.js";
import type { Track } from "./track.js";

export interface StillTrack<State, Event extends FeedEvent> {
  readonly feed: EventFeed<Event>;
  /** The newest version's track: what it has is what is kept. */
  readonly currentTrack: () => Track<State, Event>;
  /** No event is applied to it until the returned function is called. */
  readonly hold: () => () => void;
  /** Resolves when the state may be changed, until the next await. Rejects when the projection has ended. */
  readonly whenStill: () => Promise<void>;
  /** Saves what was changed. */
  readonly save: () => Promise<void>;
}
