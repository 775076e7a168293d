-- The name of a room as `rooms(search:)` compares it: without case, accents and width. The server
-- fills it, by the rules that `room_names` names; it is null until then.
alter table rooms add column folded_name text;

create table room_names (
    only_row integer not null primary key check (only_row = 1),
    folding  text    not null
) strict;
insert into room_names (only_row, folding) values (1, '');
