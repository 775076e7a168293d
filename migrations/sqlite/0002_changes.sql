-- Rooms change, members come and go, messages are deleted: all of it stands in the log.
alter table rooms add column slow_mode_seconds integer not null default 0;
alter table rooms add column deleted_at integer; -- a deleted room's id stays taken
alter table messages add column deleted_at integer; -- then text is empty
alter table messages add column reply_to text references messages (id);

-- A membership has an id of its own, and the head of the log when it began: who was a member at which Seq can be told.
create table members_new (
    room_id    text    not null references rooms (id),
    user_id    text    not null references users (id),
    id         text    not null unique,
    role       integer not null, -- 0 owner, 1 moderator, 2 member
    joined_at  integer not null,
    joined_seq integer not null,
    primary key (room_id, user_id)
) strict, without rowid;
insert into members_new (room_id, user_id, id, role, joined_at, joined_seq)
select room_id, user_id, 'mbr_' || lower(hex(randomblob(16))), role, joined_at, 0 from members;
drop table members;
alter table members_new rename to members;
create index members_by_user on members (user_id);
create index members_by_id on members (room_id, id);

-- What holds a sender back. It outlives the membership: leaving and coming back is no way out.
create table restraints (
    room_id      text    not null references rooms (id),
    user_id      text    not null references users (id),
    muted_until  integer,
    last_sent_at integer, -- kept in slow mode only
    primary key (room_id, user_id)
) strict, without rowid;

create table events_new (
    room_id    text    not null references rooms (id),
    seq        integer not null,
    kind       integer not null, -- 0 message sent, 1 message deleted, 2 joined, 3 left, 4 role changed, 5 updated, 6 deleted
    at         integer not null,
    message_id text references messages (id), -- 0, 1
    actor_id   text references users (id),    -- all but 0, where it is the sender
    user_id    text references users (id),    -- 2, 3, 4: whom it is about
    role       integer,                       -- 2, 4
    joined_seq integer,                       -- 3: of the membership that ended
    shuts_out  integer not null default 0,    -- 0 nobody, 1 the user, 2 all but the members, 3 everybody
    primary key (room_id, seq)
) strict, without rowid;
insert into events_new (room_id, seq, kind, at, message_id) select room_id, seq, kind, at, message_id from events;
drop table events;
alter table events_new rename to events;

-- Who had left since: for whom a room that was made private stayed open.
create index events_left on events (room_id, seq) where kind = 3;
