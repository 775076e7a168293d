-- The search index is a reader of the messages with a cursor: everything up to `upto` is in it, what came later is looked
-- through by the search itself. So neither a send nor a migration waits for it.
--
-- It stands on the rowids of `messages`. They are 1, 2, 3 without holes, because rows are never taken out of that table;
-- so also VACUUM and a dump keep them. `message_id` is that of the row `upto`: if it is another one, the index is made anew.
create virtual table search using fts5 (
    words,               -- each begins with its room's number and `_`: a search of a room never meets another room's words
    content = '',        -- the texts stand in `messages`
    columnsize = 0,      -- hits are ranked outside
    tokenize = "ascii tokenchars '_'" -- words come folded; domain/words.rs
);

-- A deleted message's words leave the index at once, not at some later merge.
insert into search (search, rank) values ('secure-delete', 1);

create table search_state (
    only_row   integer not null primary key check (only_row = 1),
    upto       integer not null,
    message_id text,
    folding    text    not null -- by which rules texts became words; under others the index is made anew
) strict;
insert into search_state (only_row, upto, folding) values (1, 0, '');

-- A room's short name in the index, from its first message there.
create table search_rooms (
    number  integer not null primary key,
    room_id text    not null unique references rooms (id)
) strict;

-- A search without a room looks through rooms in these orders, and not through all of them.
create index rooms_public on rooms (created_at) where visibility = 0 and deleted_at is null;
drop index members_by_user;
create index members_by_user on members (user_id, joined_at);
