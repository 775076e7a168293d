-- What this installation keeps for itself: the key that signs guest tokens.
create table meta (
    name  text not null primary key,
    value blob not null
) strict, without rowid;

create table users (
    id         text    not null primary key,
    name       text    not null,
    created_at integer not null -- microseconds since 1970
) strict, without rowid;

-- `head` is the room's counter: an event takes head + 1 in the transaction that writes it (S2).
-- `epoch` is random: a cursor of an older log of the same name is recognised.
create table rooms (
    id         text    not null primary key,
    name       text    not null,
    visibility integer not null, -- 0 public, 1 private
    created_at integer not null,
    epoch      integer not null,
    head       integer not null default 0
) strict, without rowid;

create table members (
    room_id   text    not null references rooms (id),
    user_id   text    not null references users (id),
    role      integer not null, -- 0 owner, 1 moderator, 2 member
    joined_at integer not null,
    primary key (room_id, user_id)
) strict, without rowid;

create index members_by_user on members (user_id);

create table messages (
    id         text    not null primary key,
    room_id    text    not null references rooms (id),
    seq        integer not null, -- of the event that sent it
    sender_id  text    not null references users (id),
    text       text    not null,
    nonce      text,
    created_at integer not null,
    unique (room_id, seq)
) strict;

-- The same sender and nonce are the same message (S4).
create unique index messages_by_nonce on messages (sender_id, nonce) where nonce is not null;

-- The log. Every kind of event stands here; what it points to lies in the table of its kind.
create table events (
    room_id    text    not null references rooms (id),
    seq        integer not null,
    kind       integer not null, -- 0 message sent
    at         integer not null,
    message_id text    not null references messages (id),
    primary key (room_id, seq)
) strict, without rowid;

-- A room to try things in, from the first start. Whoever deletes it later does not get it back.
insert into rooms (id, name, visibility, created_at, epoch)
values ('room-1', 'General', 0, unixepoch() * 1000000, random() & 0x7fffffffffffffff);
