//! The table of rights, cell by cell: in the documentation, and through the API.

use serde_json::{Value, json};
use switchboard::domain::{Action, Role, Standing, Visibility, may};

use crate::support::{app::TestApp, client::Client};

const STANDINGS: [(&str, Standing); 5] = [
    ("nobody", Standing::Nobody),
    ("signed in", Standing::Outsider),
    ("member", Standing::Member(Role::Member)),
    ("moderator", Standing::Member(Role::Moderator)),
    ("owner", Standing::Member(Role::Owner)),
];

fn name(action: Action) -> &'static str {
    match action {
        Action::Read => "read the room, its members, its log",
        Action::Send => "send a message",
        Action::DeleteOwn => "delete a message of one's own",
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
    let visibilities = [("public", Visibility::Public), ("private", Visibility::Private)];
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
                text.push_str(if may(standing, visibility, action) { " yes |" } else { " – |" });
            }
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_documentation_has_the_same_table() {
    let documented = include_str!("../../docs/RIGHTS.md");
    assert!(documented.contains(&table()), "docs/RIGHTS.md should hold:\n\n{}", table());
}

/// A room with somebody of every standing in it, made anew for each cell: a right that is used changes the room.
struct Scene {
    owner: Client,
    actor: Client,
    actors_id: Option<String>,
    room: String,
    /// A member whom others do things to, and one who might become one.
    bystander: String,
    newcomer: String,
    message: String,
}

async fn id_of(client: &mut Client) -> String {
    client.ask("{ viewer { id } }", json!({})).await["data"]["viewer"]["id"].as_str().unwrap().to_owned()
}

async fn mutate(client: &mut Client, field: &str) -> Value {
    client.ask(&format!("mutation {{ answer: {field} }}"), json!({})).await
}

impl Scene {
    async fn set(app: &TestApp, room: String, visibility: Visibility, standing: Standing) -> Self {
        let mut owner = app.client(Some(&app.sign_in("owner").await)).await;
        let token = app.sign_in("actor").await;
        let mut actor = app.client((standing != Standing::Nobody).then_some(token.as_str())).await;
        let newcomer = id_of(&mut app.client(Some(&app.sign_in("newcomer").await)).await).await;
        let mut other = app.client(Some(&app.sign_in("bystander").await)).await;
        let bystander = id_of(&mut other).await;
        mutate(&mut owner, &format!(r#"createRoom(id: "{room}", name: "r") {{ id }}"#)).await;
        mutate(&mut other, &format!(r#"joinRoom(roomId: "{room}") {{ id }}"#)).await;
        let sent = other.send_once(&room, "theirs", "n").await;
        let message = sent["data"]["sendMessage"]["id"].as_str().unwrap().to_owned();
        let mut actors_id = None;
        if standing != Standing::Nobody {
            let id = id_of(&mut actor).await;
            if let Standing::Member(role) = standing {
                let role = format!("{role:?}").to_uppercase();
                let add = format!(r#"addMember(roomId: "{room}", userId: "{id}", role: {role}) {{ id }}"#);
                assert!(mutate(&mut owner, &add).await["errors"].is_null());
            }
            actors_id = Some(id);
        }
        if visibility == Visibility::Private {
            mutate(&mut owner, &format!(r#"updateRoom(id: "{room}", visibility: PRIVATE) {{ id }}"#)).await;
        }
        Self { owner, actor, actors_id, room, bystander, newcomer, message }
    }

    /// A message of the actor's own, sent when the actor could.
    async fn own_message(&mut self) -> String {
        let room = self.room.clone();
        if let Some(id) = &self.actors_id {
            // In a private room an outsider has one only from before it was closed.
            let show = format!(r#"updateRoom(id: "{room}", visibility: PUBLIC) {{ visibility }}"#);
            let before = self.owner.ask(&format!(r#"{{ room(id: "{room}") {{ visibility }} }}"#), json!({})).await;
            mutate(&mut self.owner, &show).await;
            let sent = self.actor.send_once(&room, "mine", id).await;
            let visibility = before["data"]["room"]["visibility"].as_str().unwrap();
            let back = format!(r#"updateRoom(id: "{room}", visibility: {visibility}) {{ id }}"#);
            mutate(&mut self.owner, &back).await;
            return sent["data"]["sendMessage"]["id"].as_str().unwrap().to_owned();
        }
        self.message.clone()
    }

    /// Tries it, and says whether it was done or with which code it was refused.
    async fn attempt(&mut self, action: Action) -> Result<(), String> {
        let own = if action == Action::DeleteOwn { self.own_message().await } else { String::new() };
        let Self { room, bystander, newcomer, message, .. } = self;
        let field = match action {
            Action::Read => {
                let query = format!(r#"{{ answer: messages(roomId: "{room}") {{ nodes {{ text }} }} }}"#);
                return outcome(&self.actor.ask(&query, json!({})).await);
            }
            Action::Send => format!(r#"sendMessage(roomId: "{room}", text: "x") {{ id }}"#),
            Action::DeleteOwn => format!(r#"deleteMessage(id: "{own}") {{ id }}"#),
            Action::DeleteAny => format!(r#"deleteMessage(id: "{message}") {{ id }}"#),
            Action::Join => format!(r#"joinRoom(roomId: "{room}") {{ id }}"#),
            Action::Leave => format!(r#"leaveRoom(roomId: "{room}")"#),
            Action::AddMember => format!(r#"addMember(roomId: "{room}", userId: "{newcomer}") {{ id }}"#),
            Action::ManageMember => {
                let mute = format!(
                    r#"muteMember(roomId: "{room}", userId: "{bystander}", until: "2999-01-01T00:00:00Z") {{ id }}"#
                );
                let muted = outcome(&mutate(&mut self.actor, &mute).await);
                let remove = format!(r#"removeMember(roomId: "{room}", userId: "{bystander}") {{ id }}"#);
                let removed = outcome(&mutate(&mut self.actor, &remove).await);
                assert_eq!(muted, removed, "who may remove may mute");
                return removed;
            }
            Action::SetRole => format!(r#"setRole(roomId: "{room}", userId: "{bystander}", role: MODERATOR) {{ id }}"#),
            Action::UpdateRoom => format!(r#"updateRoom(id: "{room}", name: "other") {{ id }}"#),
            Action::DeleteRoom => format!(r#"deleteRoom(id: "{room}")"#),
        };
        outcome(&mutate(&mut self.actor, &field).await)
    }
}

fn outcome(result: &Value) -> Result<(), String> {
    match result["errors"][0]["extensions"]["code"].as_str() {
        None => Ok(()),
        Some(code) => Err(code.to_owned()),
    }
}

/// What the table says of a cell, in codes.
fn expected(standing: Standing, visibility: Visibility, action: Action) -> Result<(), String> {
    let refused = match (may(standing, visibility, action), standing, action) {
        (true, ..) => return Ok(()),
        (false, Standing::Nobody, Action::Read) => "NOT_FOUND",
        (false, Standing::Nobody, _) => "UNAUTHENTICATED",
        // It is so already.
        (false, Standing::Outsider, Action::Leave) if visibility == Visibility::Public => return Ok(()),
        (false, ..) if may(standing, visibility, Action::Read) => "FORBIDDEN",
        (false, ..) => "NOT_FOUND",
    };
    Err(refused.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_table_through_the_api() {
    let app = TestApp::with(&["--no-rate-limits"]).await;
    let mut cell = 0;
    for visibility in [Visibility::Public, Visibility::Private] {
        for (name, standing) in STANDINGS {
            for action in Action::ALL {
                cell += 1;
                let mut scene = Scene::set(&app, format!("cell-{cell}"), visibility, standing).await;
                let found = scene.attempt(action).await;
                assert_eq!(found, expected(standing, visibility, action), "{visibility:?}, {name}: {action:?}");
            }
        }
    }
    app.finish().await;
}
