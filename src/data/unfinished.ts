const pending = new Set<() => void>();

/** Time that file operations under way are given to end: far more than making a file or writing a piece takes. */
const SETTLE_MS = 50;

/**
 * Registers a synchronous clean-up for the case that the process is stopped. The returned function unregisters it and
 * runs it.
 */
export function whileUnfinished(cleanUp: () => void): () => void {
  pending.add(cleanUp);
  return () => {
    if (pending.delete(cleanUp)) attempt(cleanUp);
  };
}

/**
 * Removes what unfinished calls have partly written, and their locks, so that a process that was asked to stop leaves
 * only whole results. These calls cannot continue: end the process afterwards.
 */
export function removeUnfinished(): void {
  if (pending.size === 0) return;
  // File operations that are under way in Node's thread pool could make a file in a folder after it was removed. No new
  // ones start while this thread waits.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SETTLE_MS);
  // Newest first, so that a lock is removed after what was written under it.
  for (const cleanUp of [...pending].reverse()) attempt(cleanUp);
  pending.clear();
}

function attempt(cleanUp: () => void): void {
  try {
    cleanUp();
  } catch {
    // It is already gone, or no longer ours to remove.
  }
}
