export interface EventInput {
  /** `<resource>.<past participle>`: "order.created". At most 100 characters. */
  type: string;
  resource: { type: string; id: string };
  /** JSON of at most 64 KiB; no secrets: webhooks carry it out of the house. */
  data: Record<string, unknown>;
  /** The user who owns the resource, for readers who may see only their own. */
  ownerId?: string;
}

/** An event as webhooks, the broker and the stream carry it. */
export interface EventEnvelope {
  id: string;
  type: string;
  tenantId: string;
  resource: { type: string; id: string };
  data: Record<string, unknown>;
  occurredAt: string;
  /** The order in which the relay handed it out; grows with time, has gaps. */
  position: number;
}

/** What a reader's permission is decided on, with what it may then see. */
export interface StoredEvent extends EventEnvelope {
  ownerId: string | null;
  /** Of `data`, for who keeps events in memory. */
  sizeBytes?: number;
}

/** Where the relay publishes besides webhooks and the stream. */
export interface Broker {
  /** Resolves when the broker has confirmed it; rejects within a bounded time otherwise. */
  publish(event: EventEnvelope): Promise<void>;
  /** Throws while there is no connection. */
  assertReady(): void;
  close(): Promise<void>;
}
