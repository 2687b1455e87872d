-- How far each reader of the events has come, and which process reads for it until when (milliseconds since
-- 1970). Whoever moves the place must still be the holder, and must have begun at this very place.
create table reader (
    name text primary key not null,
    place integer not null,
    holder blob not null,
    until integer not null
) strict, without rowid;

-- A plain row id is used again once the newest row is gone, and a reader whose place is that id would never
-- see the new row. With autoincrement no id comes twice. On disk, the rows of such a table are the same, so
-- only the text of its definition changes: a copy of the table would stop every writer for as long as it takes
-- to write months of events again. The table of the last ids appears with the first table that needs it.
create table event_id (id integer primary key autoincrement) strict;
drop table event_id;
insert into sqlite_sequence (name, seq) select 'audit_event', coalesce(max(id), 0) from audit_event;

pragma writable_schema = on;
update sqlite_schema
set sql = replace(sql, 'id integer primary key,', 'id integer primary key autoincrement,')
where type = 'table' and name = 'audit_event';
pragma writable_schema = reset;
