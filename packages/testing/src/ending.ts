const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const cleanups = new Set<() => void>();

/**
 * Runs `cleanup` when this process exits or when a signal ends it. Returns a function that takes
 * the cleanup back. If the application handles the signal itself, its handler decides when the
 * process ends, and the cleanup runs on exit.
 */
export function onEnd(cleanup: () => void): () => void {
  if (cleanups.size === 0) listen();
  cleanups.add(cleanup);
  return () => {
    cleanups.delete(cleanup);
    if (cleanups.size === 0) unlisten();
  };
}

function listen(): void {
  process.on("exit", cleanUp);
  for (const signal of signals) process.on(signal, endBy);
}

function unlisten(): void {
  process.removeListener("exit", cleanUp);
  for (const signal of signals) process.removeListener(signal, endBy);
}

/** Runs the newest cleanup first: a server ends before its files are removed. */
function cleanUp(): void {
  for (const cleanup of [...cleanups].reverse()) cleanup();
  cleanups.clear();
}

/** A process that listens to a signal is not ended by it, so this function sends it again. */
function endBy(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  cleanUp();
  unlisten();
  process.kill(process.pid, signal);
}
