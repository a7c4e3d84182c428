/** One operation of the OpenAPI document, with what tests need to call it. */
export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly operationId: string;
  readonly public: boolean;
  readonly idempotent: boolean;
  readonly ifMatch: boolean;
  readonly permission: string | null;
  readonly example: unknown;
  /** Answers with a stream that ends only when somebody ends it. */
  readonly streams: boolean;
}

interface DocumentedOperation {
  operationId: string;
  security?: unknown[];
  parameters?: { name: string; in: string }[];
  requestBody?: { content: Record<string, { example?: unknown }> };
  responses: Record<string, { content?: Record<string, unknown> }>;
  "x-permission"?: string;
}

/** Every operation of the document that the server serves about itself. */
export function operationsOf(document: {
  paths: Record<string, Record<string, DocumentedOperation>>;
}): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const takes = (header: string) =>
        (operation.parameters ?? []).some((one) => one.name.toLowerCase() === header);
      return {
        method: method.toUpperCase(),
        path,
        operationId: operation.operationId,
        public: operation["x-permission"] === undefined,
        idempotent: takes("idempotency-key"),
        ifMatch: takes("if-match"),
        permission: operation["x-permission"] ?? null,
        streams: operation.responses["200"]?.content?.["text/event-stream"] !== undefined,
        example: operation.requestBody?.content["application/json"]?.example,
      };
    }),
  );
}

/** A body that the operation documents; undefined where it takes none. */
export function exampleOf(operation: Operation): unknown {
  return operation.example;
}
