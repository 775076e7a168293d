//! The contract of the store, as tests that every backend must pass (S6).
//!
//! Each test of the contract is a function over any store, in the file of its topic. The list below
//! runs all of them on SQLite. The tests of SQLite itself are in `sqlite.rs`.

mod accounts;
mod members;
mod reads;
mod rooms;
mod search;
mod sends;
mod speakers;
mod sqlite;
mod support;

use std::path::PathBuf;

use switchboard::store::sqlite::{Sqlite, SqliteLimits};

/// A folder for one test. Dropping it deletes it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn sqlite() -> (Sqlite, Folder) {
    sqlite_with(SqliteLimits::default()).await
}

async fn sqlite_with(limits: SqliteLimits) -> (Sqlite, Folder) {
    let path = std::env::temp_dir().join(format!(
        "switchboard-store-{}",
        uuid::Uuid::now_v7().as_simple()
    ));
    std::fs::create_dir(&path).unwrap();
    let url = format!("sqlite://{}", path.join("test.db").display());
    (Sqlite::open(&url, limits).await.unwrap(), Folder(path))
}

/// Runs tests of the contract on a new SQLite database.
macro_rules! contract {
    ($($module:ident: [$($name:ident),* $(,)?]),* $(,)?) => {
        mod on_sqlite {
            $($(
                #[tokio::test]
                async fn $name() {
                    let (store, _folder) = super::sqlite().await;
                    super::$module::$name(&store).await;
                }
            )*)*
        }
    };
}

contract!(
    accounts: [
        users_and_the_signing_key_are_stored,
        an_identity_is_one_user_whose_name_is_updated,
        revocations_are_kept_until_they_expire,
    ],
    members: [
        members_do_what_their_role_allows,
        s7_nothing_of_a_user_commits_after_the_loss_of_the_right,
        members_are_read_in_windows,
    ],
    reads: [
        events_and_messages_are_read_in_windows,
        v6_a_deleted_message_has_no_text_anywhere,
    ],
    rooms: [
        a_new_database_has_room_1,
        rooms_are_listed_by_id,
        a_page_of_rooms_mixes_public_rooms_and_the_viewers_own,
        g5_unknown_and_unreadable_rooms_look_alike,
        v5_a_room_made_private_shuts_out_all_but_its_members,
    ],
    search: [
        words_and_phrases_are_found,
        g5_an_unreadable_room_is_searched_like_an_unknown_one,
        only_readable_messages_are_found,
        better_hits_come_first_and_then_newer_ones,
        s5_pages_of_a_search_are_stable_while_messages_arrive,
        a_mark_of_an_unknown_message_is_refused,
        acknowledged_messages_are_found_at_once,
        v6_a_deleted_message_is_not_found,
        every_text_finds_itself_and_no_text_is_syntax,
    ],
    sends: [
        s2_seqs_are_1_2_3_per_room,
        s2_a_refusal_takes_no_seq,
        s4_a_nonce_names_one_message_of_its_sender,
        s4_the_same_nonce_twice_in_a_batch,
        s7_each_command_sees_the_commands_before_it,
        s1_a_batch_that_fails_runs_one_by_one,
        s7_mutes_and_slow_mode_refuse_sends,
        a_reply_is_to_a_message_of_the_same_room,
    ],
    speakers: [
        users_signal_where_they_may_send,
    ],
);

#[test]
fn s6_every_backend_runs_the_contract() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = include_str!("main.rs");
    let mut backends = 0;
    for entry in std::fs::read_dir(root.join("src/store")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("append.rs").exists() {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(list.contains(&format!("mod on_{name} {{")), "{name}");
            backends += 1;
        }
    }
    assert_ne!(backends, 0);
}
