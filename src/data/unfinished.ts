const pending = new Set<() => void>();

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
