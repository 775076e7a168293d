//! The table of rights, cell by cell: in the documentation and through the API.

use serde_json::{Value, json};
use switchboard::domain::{Action, Role, Standing, Visibility, may};

use crate::support::{
    app::TestApp,
    client::{Client, NEW_MESSAGE},
    http::post,
    stream::StreamedResponse,
};

/// A transport. Every right must be the same over each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    WebSocket,
    Http,
    EventStream,
    Multipart,
}

impl Transport {
    fn accept(self) -> &'static str {
        match self {
            Self::WebSocket | Self::Http => "application/json",
            Self::EventStream => "text/event-stream",
            Self::Multipart => "multipart/mixed;subscriptionSpec=1.0, application/json",
        }
    }
}

/// A caller who uses one of the transports.
struct Actor {
    transport: Transport,
    address: std::net::SocketAddr,
    token: Option<String>,
}

impl Actor {
    /// The result of a query or a mutation, or the first result of a subscription.
    async fn ask(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![("accept", self.transport.accept())];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let streams = query.starts_with("subscription");
        match self.transport {
            Transport::WebSocket => {
                let mut client = Client::connect(self.address, self.token.as_deref()).await;
                client.start(query, variables).await;
                let message = client.receive().await;
                client.close().await;
                if message["type"] == "error" {
                    json!({ "errors": message["payload"] })
                } else {
                    message["payload"].clone()
                }
            }
            Transport::EventStream => {
                StreamedResponse::post(self.address, &body, &headers)
                    .await
                    .next_result()
                    .await
                    .0
            }
            Transport::Multipart if streams => {
                let mut stream = StreamedResponse::post(self.address, &body, &headers).await;
                loop {
                    let part = stream.read_until("\r\n--graphql").await;
                    let json = part
                        .trim_end_matches("\r\n--graphql")
                        .rsplit("\r\n")
                        .next()
                        .unwrap_or_default();
                    // Empty parts are heartbeats. If the payload is null, the errors are beside it.
                    match serde_json::from_str::<Value>(json) {
                        Ok(mut found) if found["payload"].is_object() => {
                            return found["payload"].take();
                        }
                        Ok(found) if found["errors"].is_array() => return found,
                        _ => {}
                    }
                }
            }
            Transport::Http | Transport::Multipart => {
                post(self.address, &body, &headers).await.json()
            }
        }
    }
}

const STANDINGS: [(&str, Standing); 5] = [
    ("anonymous", Standing::Anonymous),
    ("signed in", Standing::Outsider),
    ("member", Standing::Member(Role::Member)),
    ("moderator", Standing::Member(Role::Moderator)),
    ("owner", Standing::Member(Role::Owner)),
];

fn name(action: Action) -> &'static str {
    match action {
        Action::Read => "read the room, its members, its log",
        Action::Send => "send a message",
        Action::Signal => "show typing, send a signal",
        Action::DeleteOwn => "delete one's own message",
        Action::DeleteAny => "delete anybody's message",
        Action::Join => "join",
        Action::Leave => "leave",
        Action::AddMember => "add a member",
        Action::ManageMember => "remove or mute a member",
        Action::SetRole => "set a role",
        Action::UpdateRoom => "change name, visibility, slow mode",
        Action::DeleteRoom => "delete the room",
    }
}

fn table() -> String {
    let mut text = "| |".to_owned();
    let visibilities = [
        ("public", Visibility::Public),
        ("private", Visibility::Private),
    ];
    for (visibility, _) in visibilities {
        for (standing, _) in STANDINGS {
            text.push_str(&format!(" {visibility}: {standing} |"));
        }
    }
    text.push_str(&format!("\n|---|{}\n", ":-:|".repeat(10)));
    for action in Action::ALL {
        text.push_str(&format!("| {} |", name(action)));
        for (_, visibility) in visibilities {
            for (_, standing) in STANDINGS {
                text.push_str(if may(standing, visibility, action) {
                    " yes |"
                } else {
                    " – |"
                });
            }
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_documentation_has_the_table_of_rights() {
    let documented = include_str!("../../docs/RIGHTS.md");
    assert!(
        documented.contains(&table()),
        "docs/RIGHTS.md should contain:\n\n{}",
        table()
    );
}

impl Actor {
    async fn mutate(&self, field: &str) -> Value {
        self.ask(&format!("mutation {{ answer: {field} }}"), json!({}))
            .await
    }
}

/// A room with a user of every standing. Each cell gets a new room, because using a right changes
/// the room.
struct Scene {
    owner: Client,
    actor: Actor,
    actors_id: Option<String>,
    /// The head of the room when it was created.
    start: Value,
    room: String,
    /// A member whom the actor may manage, and a user whom the actor may add.
    bystander: String,
    newcomer: String,
    message: String,
}

async fn id_of(client: &mut Client) -> String {
    client.execute("{ viewer { id } }", json!({})).await["data"]["viewer"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn mutate(client: &mut Client, field: &str) -> Value {
    client
        .execute(&format!("mutation {{ answer: {field} }}"), json!({}))
        .await
}

/// Gives the actor their standing in a room. Returns their id, unless they are anonymous.
async fn join(owner: &mut Client, actor: &Actor, room: &str, standing: Standing) -> Option<String> {
    if standing == Standing::Anonymous {
        return None;
    }
    let viewer = actor.ask("{ viewer { id } }", json!({})).await;
    let id = viewer["data"]["viewer"]["id"].as_str().unwrap().to_owned();
    if let Standing::Member(role) = standing {
        let role = format!("{role:?}").to_uppercase();
        let add = format!(r#"addMember(roomId: "{room}", userId: "{id}", role: {role}) {{ id }}"#);
        assert!(mutate(owner, &add).await["errors"].is_null());
    }
    Some(id)
}

impl Scene {
    async fn create(
        app: &TestApp,
        transport: Transport,
        room: String,
        visibility: Visibility,
        standing: Standing,
    ) -> Self {
        let mut owner = app.client(Some(&app.sign_in("owner").await)).await;
        let token = app.sign_in("actor").await;
        let token = (standing != Standing::Anonymous).then_some(token);
        let actor = Actor {
            transport,
            address: app.address(),
            token,
        };
        let newcomer = id_of(&mut app.client(Some(&app.sign_in("newcomer").await)).await).await;
        let mut other = app.client(Some(&app.sign_in("bystander").await)).await;
        let bystander = id_of(&mut other).await;
        let created = mutate(
            &mut owner,
            &format!(r#"createRoom(id: "{room}", name: "r") {{ head }}"#),
        )
        .await;
        let start = created["data"]["answer"]["head"].clone();
        mutate(
            &mut other,
            &format!(r#"joinRoom(roomId: "{room}") {{ id }}"#),
        )
        .await;
        let sent = other.send_with_nonce(&room, "theirs", "n").await;
        let message = sent["data"]["sendMessage"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let actors_id = join(&mut owner, &actor, &room, standing).await;
        if visibility == Visibility::Private {
            mutate(
                &mut owner,
                &format!(r#"updateRoom(id: "{room}", visibility: PRIVATE) {{ id }}"#),
            )
            .await;
        }
        Self {
            owner,
            actor,
            actors_id,
            start,
            room,
            bystander,
            newcomer,
            message,
        }
    }

    /// The id of a message that the actor sent while that was allowed.
    async fn own_message(&mut self) -> String {
        let room = self.room.clone();
        if let Some(id) = &self.actors_id {
            // An outsider can send only while the room is public.
            let show = format!(r#"updateRoom(id: "{room}", visibility: PUBLIC) {{ visibility }}"#);
            let before = self
                .owner
                .execute(
                    &format!(r#"{{ room(id: "{room}") {{ visibility }} }}"#),
                    json!({}),
                )
                .await;
            mutate(&mut self.owner, &show).await;
            let send = format!(
                r#"mutation {{ sendMessage(roomId: "{room}", text: "mine", nonce: "{id}") {{ id }} }}"#
            );
            let sent = self.actor.ask(&send, json!({})).await;
            let visibility = before["data"]["room"]["visibility"].as_str().unwrap();
            let back = format!(r#"updateRoom(id: "{room}", visibility: {visibility}) {{ id }}"#);
            mutate(&mut self.owner, &back).await;
            return sent["data"]["sendMessage"]["id"]
                .as_str()
                .unwrap()
                .to_owned();
        }
        self.message.clone()
    }

    /// Tries to read the room in every way. All must agree.
    async fn attempt_read(&self) -> Result<(), String> {
        let (room, message) = (&self.room, &self.message);
        let query = format!(r#"{{ answer: messages(roomId: "{room}") {{ nodes {{ text }} }} }}"#);
        let read = outcome(&self.actor.ask(&query, json!({})).await);
        if self.actor.transport != Transport::Http {
            let streamed = self
                .actor
                .ask(NEW_MESSAGE, json!({ "room": room, "after": self.start }))
                .await;
            assert_eq!(
                outcome(&streamed),
                read,
                "the right to read is the right to subscribe: {streamed}"
            );
            for stream in [
                "typing(roomId: $room) { users { id } }",
                "signals(roomId: $room) { kind }",
                "presence(roomId: $room) { count }",
            ] {
                let query = format!("subscription ($room: ID!) {{ {stream} }}");
                let streamed = self.actor.ask(&query, json!({ "room": room })).await;
                assert_eq!(
                    outcome(&streamed),
                    read,
                    "the right to read is the right to subscribe to ephemeral state: {streamed}"
                );
            }
        }
        let search = r#"query ($room: ID) {
            searchMessages(query: "theirs", roomId: $room, first: 100) { nodes { id } } }"#;
        let within = self.actor.ask(search, json!({ "room": room })).await;
        assert_eq!(
            outcome(&within),
            read,
            "the right to read is the right to search: {within}"
        );
        // Messages of other cells have the same text. The message of this cell is the
        // newest.
        let everywhere = self.actor.ask(search, json!({})).await;
        let found = everywhere["data"]["searchMessages"]["nodes"]
            .as_array()
            .unwrap();
        assert_eq!(
            found.contains(&json!({ "id": message })),
            read.is_ok(),
            "{everywhere}"
        );
        read
    }

    /// Tries to show typing and to send a signal. Both must agree.
    async fn attempt_signal(&self) -> Result<(), String> {
        let room = &self.room;
        let typed = outcome(
            &self
                .actor
                .mutate(&format!(r#"setTyping(roomId: "{room}")"#))
                .await,
        );
        let signal = format!(r#"sendSignal(roomId: "{room}", kind: "x", data: {{}})"#);
        assert_eq!(
            outcome(&self.actor.mutate(&signal).await),
            typed,
            "the right to show typing is the right to signal"
        );
        self.actor
            .mutate(&format!(r#"setTyping(roomId: "{room}", typing: false)"#))
            .await;
        typed
    }

    /// Tries to mute and to remove a member. Both must agree.
    async fn attempt_manage_member(&self) -> Result<(), String> {
        let (room, bystander) = (&self.room, &self.bystander);
        let mute = format!(
            r#"muteMember(roomId: "{room}", userId: "{bystander}", until: "2999-01-01T00:00:00Z") {{ id }}"#
        );
        let muted = outcome(&self.actor.mutate(&mute).await);
        let remove = format!(r#"removeMember(roomId: "{room}", userId: "{bystander}") {{ id }}"#);
        let removed = outcome(&self.actor.mutate(&remove).await);
        assert_eq!(muted, removed, "the right to remove is the right to mute");
        removed
    }

    /// Tries an action. Returns the error code if it is refused.
    async fn attempt(&mut self, action: Action) -> Result<(), String> {
        let own = if action == Action::DeleteOwn {
            self.own_message().await
        } else {
            String::new()
        };
        let Self {
            room,
            bystander,
            newcomer,
            message,
            ..
        } = self;
        let field = match action {
            Action::Read => return self.attempt_read().await,
            Action::Send => format!(r#"sendMessage(roomId: "{room}", text: "x") {{ id }}"#),
            Action::Signal => return self.attempt_signal().await,
            Action::DeleteOwn => format!(r#"deleteMessage(id: "{own}") {{ id }}"#),
            Action::DeleteAny => format!(r#"deleteMessage(id: "{message}") {{ id }}"#),
            Action::Join => format!(r#"joinRoom(roomId: "{room}") {{ id }}"#),
            Action::Leave => format!(r#"leaveRoom(roomId: "{room}")"#),
            Action::AddMember => {
                format!(r#"addMember(roomId: "{room}", userId: "{newcomer}") {{ id }}"#)
            }
            Action::ManageMember => return self.attempt_manage_member().await,
            Action::SetRole => format!(
                r#"setRole(roomId: "{room}", userId: "{bystander}", role: MODERATOR) {{ id }}"#
            ),
            Action::UpdateRoom => format!(r#"updateRoom(id: "{room}", name: "other") {{ id }}"#),
            Action::DeleteRoom => format!(r#"deleteRoom(id: "{room}")"#),
        };
        outcome(&self.actor.mutate(&field).await)
    }
}

fn outcome(result: &Value) -> Result<(), String> {
    match result["errors"][0]["extensions"]["code"].as_str() {
        None => Ok(()),
        Some(code) => Err(code.to_owned()),
    }
}

/// The result of an action that the table requires.
fn expected(standing: Standing, visibility: Visibility, action: Action) -> Result<(), String> {
    let refused = match (may(standing, visibility, action), standing, action) {
        (true, ..) => return Ok(()),
        (false, Standing::Anonymous, Action::Read) => "NOT_FOUND",
        (false, Standing::Anonymous, _) => "UNAUTHENTICATED",
        // Leaving a public room without being a member succeeds and changes nothing.
        (false, Standing::Outsider, Action::Leave) if visibility == Visibility::Public => {
            return Ok(());
        }
        (false, ..) if may(standing, visibility, Action::Read) => "FORBIDDEN",
        (false, ..) => "NOT_FOUND",
    };
    Err(refused.to_owned())
}

async fn every_cell_through(transport: Transport) {
    let app = TestApp::with_flags(&["--no-rate-limits"]).await;
    let mut cell = 0;
    for visibility in [Visibility::Public, Visibility::Private] {
        for (name, standing) in STANDINGS {
            for action in Action::ALL {
                cell += 1;
                let mut scene = Scene::create(
                    &app,
                    transport,
                    format!("cell-{cell}"),
                    visibility,
                    standing,
                )
                .await;
                let found = scene.attempt(action).await;
                assert_eq!(
                    found,
                    expected(standing, visibility, action),
                    "{transport:?}, {visibility:?}, {name}: {action:?}"
                );
            }
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn every_right_holds_over_websocket_and_http() {
    futures::join!(
        every_cell_through(Transport::WebSocket),
        every_cell_through(Transport::Http)
    );
}

#[tokio::test]
async fn every_right_holds_over_streams() {
    futures::join!(
        every_cell_through(Transport::EventStream),
        every_cell_through(Transport::Multipart)
    );
}
