import type { Locator, Page } from "@playwright/test";

/** The playground as a user sees it: tabs, editors, the run button and the response pane. */
export class Playground {
  /** The response pane. */
  readonly response: Locator;

  private constructor(readonly page: Page) {
    this.response = page.getByRole("region", { name: "Result Window" });
  }

  static async open(page: Page, origin: string): Promise<Playground> {
    await page.goto(`${origin}/graphiql`);
    await page
      .getByRole("region", { name: "Operation Editor" })
      .locator(".view-line")
      .first()
      .waitFor();
    return new Playground(page);
  }

  async chooseTab(name: string): Promise<void> {
    await this.page.locator(".graphiql-tab-button", { hasText: name }).click();
  }

  async run(): Promise<void> {
    await this.page.getByRole("button", { name: "Execute query" }).click();
  }

  /** Resolves when a connection that is opened after this call has sent `subscribe`. */
  subscribed(): Promise<void> {
    return new Promise((resolve) => {
      this.page.on("websocket", (socket) => {
        socket.on("framesent", ({ payload }) => {
          if (payload.toString().includes(`"type":"subscribe"`)) resolve();
        });
      });
    });
  }

  /** Runs the chosen tab's operation over HTTP and returns the `data` of the answer. */
  async runForData(): Promise<unknown> {
    const answered = this.page.waitForResponse((response) => response.url().endsWith("/graphql"));
    await this.run();
    const { data } = (await (await answered).json()) as { data: unknown };
    return data;
  }

  async typeHeaders(headers: Record<string, string>): Promise<void> {
    await this.page.getByRole("button", { name: "Headers", exact: true }).click();
    await this.page.getByRole("region", { name: "Headers" }).locator(".view-lines:visible").click();
    await this.page.keyboard.press("ControlOrMeta+A");
    await this.page.keyboard.press("Delete");
    await this.page.keyboard.insertText(JSON.stringify(headers));
  }

  /** Sends with the tab for it. The page has signed a guest in. */
  async send(): Promise<void> {
    await this.chooseTab("SendMessage");
    await this.runForData();
  }

  /** What the page says about the connection. */
  get status(): Locator {
    return this.page.getByRole("status");
  }
}
