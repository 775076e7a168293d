-- What a read costs does not depend on what others have stored.

-- `rooms` reads public rooms and the viewer's own in the order of their ids.
create index rooms_public_by_id on rooms (id) where visibility = 0 and deleted_at is null;
create index members_by_user_and_room on members (user_id, room_id);

-- A join checks the number of members without counting them.
alter table rooms add column member_count integer not null default 0;
update rooms set member_count = (select count(*) from members m where m.room_id = rooms.id);

create index members_owners on members (room_id) where role = 0;
