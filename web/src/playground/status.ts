/** What the page says about the connection of the newest subscription. */
export class ConnectionStatus {
  #text = "";
  #owner: object | undefined;
  readonly #listeners = new Set<() => void>();

  readonly getSnapshot = (): string => this.#text;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Begins to show a subscription. It returns the function that sets the text for it. */
  begin(): (text: string) => void {
    const owner = {};
    this.#owner = owner;
    return (text) => {
      if (this.#owner !== owner) return;
      this.#text = text;
      for (const listener of this.#listeners) listener();
    };
  }
}
