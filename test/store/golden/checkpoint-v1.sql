-- The checkpoint as version 1 of the schema wrote it. Never change this file.
pragma journal_mode=wal;
begin;
CREATE TABLE header (key text primary key, value text, crc integer) without rowid;
insert into header values ('agentId', '0d4b6a0e-6f0c-4f0b-9a53-1f1f2f3f4f5f', 3335184940);
insert into header values ('createdAt', '1763817000000', 1339692168);
insert into header values ('labelledThrough', '2', 4136771070);
CREATE TABLE reservations (key text primary key, value text, crc integer) without rowid;
insert into reservations values ('["PATH:/srv/ä",["STATIC","org",null,null],["DYNAMIC","ads","ops",[["tier",null],["zone",""]]]]', '{"source":{"type":"PATH","root":"/srv/ä"},"reservations":[{"type":"STATIC","role":"org"},{"type":"DYNAMIC","role":"ads","principal":"ops","labels":[{"key":"tier"},{"key":"zone","value":""}]}],"size":2048000}', 1496291890);
CREATE TABLE volumes (key text primary key, value text, crc integer) without rowid;
insert into volumes values ('00000000-0000-4000-8000-000000000001', '{"uuid":"00000000-0000-4000-8000-000000000001","role":"ads","id":"db-1 äö \"quoted\"","size":1024001,"source":{"type":"MOUNT","root":"/mnt/disk one"},"reservations":[{"type":"STATIC","role":"org"},{"type":"DYNAMIC","role":"ads","principal":"ops","labels":[{"key":"tier"},{"key":"zone","value":""}]}],"containerPath":"data","shared":true,"createdBy":"uid:0(root)","createdAt":1763817000001,"phase":"retained","directory":{"ino":"1000001","birthNs":"1763817000123456789"},"revision":1,"principal":"ops","firstAttachedAt":1763817000002,"retired":{"at":1763817000003,"bootId":"boot","bootTimeMs":12.5}}', 2046043492);
insert into volumes values ('00000000-0000-4000-8000-000000000002', '{"uuid":"00000000-0000-4000-8000-000000000002","role":"ads","id":"db-2 äö \"quoted\"","size":1024002,"source":{"type":"ROOT"},"reservations":[{"type":"DYNAMIC","role":"ads"}],"containerPath":"data","shared":false,"createdBy":"uid:0(root)","createdAt":1763817000001,"phase":"live","directory":{"ino":"1000002","birthNs":"1763817000123456789"},"revision":2}', 3566673330);
CREATE TABLE containers (key text primary key, value text, crc integer) without rowid;
insert into containers values ('web-1', '{"id":"web-1","sandbox":"/var/lib/sandboxes/web 1","bootId":"boot","since":1763817000004,"by":"uid:0(root)","attachments":[{"uuid":"00000000-0000-4000-8000-000000000001","containerPath":"data","mode":"RW","phase":"attached","mount":{"backend":"bind","mountId":"4294967396","uniqueId":true,"propagation":"shared"},"madeMountpoint":true},{"uuid":"00000000-0000-4000-8000-000000000002","containerPath":"logs","mode":"RO","phase":"attaching","madeMountpoint":false}]}', 3980913427);
CREATE TABLE operations (key text primary key, value text, crc integer) without rowid;
insert into operations values ('["ops","operation-1"]', '{"id":"operation-1","by":"ops","at":1763817000005,"request":"[{\"type\":\"CREATE\"}]","operations":[{"type":"CREATE","summary":"created ads/db"}]}', 2858460686);
pragma user_version=1;
commit;
