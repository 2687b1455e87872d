-- How far each reader of the events has come, and which process reads for it until when (milliseconds since
-- 1970). Whoever moves the place must still be the holder, and must have begun at this very place.
create table reader (
    name text collate "C" primary key,
    place bigint not null,
    holder uuid not null,
    until bigint not null
);
