/** What the client observes of a browser. In Node nothing of it exists. */
export interface Environment {
  /** False if the browser is sure that there is no network. */
  isOnline(): boolean;
  /**
   * Calls `onWake` when the network returns and when the page becomes visible, and `onChange` when
   * the network goes. Returns a function that ends this.
   */
  watch(onWake: () => void, onChange: () => void): () => void;
}

interface Page {
  readonly navigator?: { readonly onLine?: boolean };
  readonly document?: EventTarget & { readonly visibilityState: string };
  readonly addEventListener?: EventTarget["addEventListener"];
}

/** The page that the client runs in. */
export const browser: Environment = {
  isOnline: () => (globalThis as Page).navigator?.onLine !== false,
  watch(onWake, onChange) {
    const { document, addEventListener } = globalThis as Page;
    if (!document || !addEventListener) return () => undefined;
    const stop = new AbortController();
    const { signal } = stop;
    const whenVisible = () => {
      if (document.visibilityState === "visible") onWake();
    };
    globalThis.addEventListener("online", onWake, { signal });
    globalThis.addEventListener("offline", onChange, { signal });
    document.addEventListener("visibilitychange", whenVisible, { signal });
    return () => {
      stop.abort();
    };
  },
};
