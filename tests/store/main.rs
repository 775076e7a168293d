//! One contract for every store: what [`Log`], [`Append`] and [`Accounts`] promise, whatever is behind them (S6).

mod contract;
mod search;
mod speakers;
mod sqlite;

use std::path::PathBuf;

use switchboard::store::sqlite::{Sqlite, SqliteLimits};

/// A folder of a test's own, gone when it is dropped.
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
    contract: [
        room_1_is_there_from_the_start,
        s2_seqs_are_1_2_3_per_room,
        s2_a_refusal_takes_no_seq,
        s4_a_nonce_names_one_message_of_its_sender,
        s4_the_same_nonce_twice_in_a_batch,
        s7_each_command_sees_what_stands_before_it,
        s1_a_batch_that_fails_runs_one_by_one,
        g5_unknown_and_unreadable_are_alike,
        events_and_messages_are_read_in_windows,
        rooms_are_listed_by_id,
        users_and_the_key_are_kept,
        v6_a_deleted_message_has_no_text_anywhere,
        s7_what_took_a_right_away_stands_before_what_it_forbids,
        s7_the_muted_and_the_hasty_do_not_send,
        who_may_change_what,
        v5_a_room_made_private_names_the_members_of_that_moment,
        members_are_read_in_windows,
        a_reply_answers_a_message_of_the_same_room,
        a_subject_is_one_user_whose_name_follows,
        revocations_are_kept_until_they_expire,
    ],
    speakers: [
        who_may_speak_and_to_whom,
    ],
    search: [
        words_and_phrases_are_found,
        g5_searching_an_unreadable_room_is_as_searching_an_unknown_one,
        only_what_may_be_read_is_found,
        the_best_come_first_and_of_equals_the_newest,
        s5_pages_of_a_search_stay_while_messages_arrive,
        a_mark_of_no_message_is_refused,
        what_was_answered_is_found_at_once,
        v6_a_deleted_message_is_not_found,
        every_text_is_found_by_itself_and_no_text_is_syntax,
    ],
);
