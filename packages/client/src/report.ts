/**
 * Calls a function of the application. Its error is reported as an uncaught one, and does not
 * disturb the connection.
 */
export function reportError(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
