-- Everything that has happened. `position` counts all entries without gaps; `chain` is the hash
-- over the previous entry's and every column of this one, so that the log can be audited offline.
create table event (
    position       integer primary key,
    stream         text    not null,
    seq            integer not null,
    schema_version integer not null,
    at             text    not null,
    body           text    not null,
    chain          text    not null,
    unique (stream, seq)
) strict;

-- Which rollouts there are, without walking through their events.
create index rollout on event (stream) where seq = 1 and stream >= 'rollout/' and stream < 'rollout0';

-- Plans under the digest of `decisions`, byte for byte. `created` is in microseconds since 1970.
create table plan (
    digest    text    primary key,
    decisions text    not null,
    about     text    not null,
    created   integer not null
) strict, without rowid;

-- What was asked before, and answered.
create table answer (
    key  text primary key,
    at   text not null,
    body text not null
) strict, without rowid;

create table meta (
    key   text primary key,
    value text not null
) strict, without rowid;

-- Names this controller on every object it makes; random, so that two never share a name.
insert into meta (key, value) values ('controller', lower(hex(randomblob(8))));
