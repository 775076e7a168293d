import { argumentOf } from "./document.ts";
import type { Http } from "./http.ts";
import type { Receiver, Start } from "./transport.ts";

const headQuery = "query SwitchboardHead($roomId: ID!) { room(id: $roomId) { head } }";

/**
 * Gives a subscription that starts at the end of the log its cursor, the room's head, so that it
 * can resume before its first message. Over a WebSocket the server sends this cursor by itself.
 * Resolves to undefined if the attempt has failed.
 */
export async function located(
  start: Start,
  http: Http,
  signal: AbortSignal,
  receiver: Receiver,
): Promise<Start | undefined> {
  const { subscription, variables } = start;
  const after = argumentOf(subscription, variables, "after");
  const roomId = argumentOf(subscription, variables, "roomId");
  const isKnown = start.position === undefined ? after !== undefined : start.position !== null;
  if (!subscription.field || isKnown || roomId === undefined) return start;
  const answer = await http.execute({ query: headQuery, variables: { roomId } }, signal);
  if (answer.kind === "broken" || answer.kind === "refused") {
    receiver.failed(answer);
    return undefined;
  }
  // A server that runs only listed documents refuses the query. Then the subscription starts at
  // the end of the log as it is when the server reads it.
  const data = answer.kind === "result" ? (answer.result.data as HeadData | null) : undefined;
  const head = data?.room?.head;
  if (head === undefined) return start;
  receiver.located(head);
  return { ...start, position: head };
}

interface HeadData {
  readonly room?: { readonly head: string } | null;
}
