const pending = new Set<() => void>();

/**
 * Keeps a synchronous clean-up in mind, for a process that is stopped meanwhile. What comes back ends that and runs it.
 */
export function whileUnfinished(cleanUp: () => void): () => void {
  pending.add(cleanUp);
  return () => {
    if (pending.delete(cleanUp)) attempt(cleanUp);
  };
}

/**
 * Removes what calls that still run have written in part, and their locks, so that a process that was asked to stop
 * leaves only whole results. The calls cannot go on: end the process after it.
 */
export function removeUnfinished(): void {
  // The newest first: a lock goes after what was written under it.
  for (const cleanUp of [...pending].reverse()) attempt(cleanUp);
  pending.clear();
}

function attempt(cleanUp: () => void): void {
  try {
    cleanUp();
  } catch {
    // Gone already, or not ours to remove any more.
  }
}
