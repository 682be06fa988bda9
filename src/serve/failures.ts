import type { Socket } from "node:net";
import { type ErrorCode, ShortlistError } from "../errors.js";
import { ClientGoneError } from "./deadline.js";
import { OverloadError } from "./queue.js";

/** The answer to a request that failed. */
export interface Failure {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  /** Seconds after which the client may try again. */
  readonly retryAfter?: number | undefined;
}

/** The status of each code that a request can end with; 500 for all others. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  ERR_REQUEST: 400,
  ERR_OPTION: 400,
  ERR_ACCESS: 401,
  ERR_OVERLOAD: 503,
  ERR_TIMEOUT: 503,
  ERR_MODEL: 409,
  ERR_VOCABULARY: 409,
  ERR_FILE: 409,
};

/** What fastify says against requests, by its codes. */
const FRAMEWORK: Readonly<Record<string, (limit: number) => string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: (limit) => `Expected a body of at most ${limit} bytes but received a larger one`,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () => "Expected the content type application/json but received another one",
  FST_ERR_CTP_EMPTY_TYPE: () => "Expected the content type application/json but received none",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () => "Expected a body of the length in Content-Length but received another one",
  FST_ERR_BAD_URL: () => "Expected a URL whose percent signs encode UTF-8 but received another one",
  FST_ERR_ASYNC_CONSTRAINT: () => "Expected a URL of the service but received another one",
};

/** What is answered to a request that ended with an error. `bodyBytes` is the limit of bodies. */
export function failureOf(error: unknown, bodyBytes: number): Failure {
  if (error instanceof ShortlistError) {
    const { code, message } = error;
    const retryAfter = error instanceof OverloadError ? error.retryAfter : code === "ERR_TIMEOUT" ? 1 : undefined;
    const status = error instanceof HttpError ? error.status : (STATUS[code] ?? 500);
    return { status, code, message, retryAfter };
  }
  if (error instanceof ClientGoneError) return { status: 499, code: "ERR_REQUEST", message: error.message };
  const { code = "", statusCode = 500, message } = (error ?? {}) as Record<string, unknown>;
  if (typeof statusCode === "number" && statusCode >= 400 && statusCode < 500) {
    const described =
      FRAMEWORK[String(code)]?.(bodyBytes) ?? `Expected a valid request but received one with a fault: ${message}`;
    return { status: statusCode, code: "ERR_REQUEST", message: described };
  }
  return { status: 500, code: "ERR_INTERNAL", message: "The service failed; its log says why" };
}

/** An error of a request with a status of its own. */
export class HttpError extends ShortlistError {
  readonly status: number;

  constructor(status: number, message: string) {
    super("ERR_REQUEST", message);
    this.status = status;
  }
}

/** The body of the answer to a request that failed. */
export function failureBody({ code, message }: Failure): string {
  return JSON.stringify({ error: { code, message } });
}

const PARSER_FAILURES: Readonly<Record<string, readonly [line: string, message: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "Expected the whole request in time but it is still incomplete"],
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "Expected a smaller header but received a larger one"],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [
    "413 Payload Too Large",
    "Expected shorter chunk extensions but received longer ones",
  ],
};

/** Answers bytes that are no HTTP request, or that came too slowly, and closes the connection. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy(error);
    return;
  }
  const [line, message] = PARSER_FAILURES[error.code ?? ""] ?? [
    "400 Bad Request",
    "Expected a request of HTTP/1.1 but received other bytes",
  ];
  const body = failureBody({ status: 400, code: "ERR_REQUEST", message });
  socket.end(
    `HTTP/1.1 ${line}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  // A sender that goes on would keep the connection open.
  setTimeout(() => socket.destroy(), 1000).unref();
}
