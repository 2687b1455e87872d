/**
 * What the library reads of time. Tests pass a clock of their own; everybody else takes {@link systemClock}.
 */
export interface Clock {
  /** The time of day, in milliseconds since 1970. `exp` and `iat` are compared with it. */
  now(): number;
  /** Milliseconds that no step of the time of day changes. Ages and pauses are measured with it. */
  monotonic(): number;
  /** Resolves after so many milliseconds, or as soon as the signal is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      // A pause must not keep the process alive. In browsers and workers a timer is a number.
      (timer as { unref?: () => void }).unref?.();
      signal?.addEventListener('abort', done);
    }),
};
