import { createRequire } from "node:module";
import { type ModelServer, type ServeOptions, serveModels } from "../../src/index.js";
import { PACKAGES } from "../../src/serve/packages.js";

/** Whether the packages of the service are there, optional dependencies; its tests are skipped without them. */
export const HAS_SERVICE = PACKAGES.every((name) => {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
});

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the JSON of an answer
  readonly body: any;
}

/** Asks a service. A body that is no text and no bytes is sent as JSON. */
export async function ask(url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const isRaw = typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(url, {
    redirect: "manual",
    ...(body !== undefined && {
      method: "POST",
      body: isRaw ? (body as string) : JSON.stringify(body),
    }),
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** Runs `work` with a service on a free port, and closes the service afterwards. */
export async function withService(options: ServeOptions, work: (server: ModelServer) => Promise<void>): Promise<void> {
  const server = await serveModels({ port: 0, threads: 2, ...options });
  try {
    await work(server);
  } finally {
    await server.close();
  }
}
