PRAGMA application_id = 1179862833;
PRAGMA user_version = 7;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'facesearch','m001_people_photos_faces_templates','2026-12-01 12:29:22.653205+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'facesearch','m002_stamped_changes_and_due_scrubs','2026-12-01 12:29:22.658857+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'facesearch','m003_curation','2026-12-01 12:29:22.661585+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'facesearch','m004_groups_of_the_unnamed','2026-12-01 12:29:22.666756+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'facesearch','m005_dismissals','2026-12-01 12:29:22.667464+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'facesearch','m006_seals','2026-12-01 12:29:22.677968+00:00');
INSERT INTO "_sqlite_migrations" VALUES(7,'facesearch','m007_pictures','2026-12-01 12:29:22.679623+00:00');
CREATE TABLE change (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            template_id INTEGER NOT NULL,
            added INTEGER NOT NULL CHECK (added IN (0, 1))
        , token TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "change" VALUES(1,1,1,'c8138b2368051f11');
INSERT INTO "change" VALUES(2,2,1,'ac09b20c35d2b5fc');
INSERT INTO "change" VALUES(3,3,1,'ccbf53f942db69d6');
INSERT INTO "change" VALUES(4,4,1,'f4c53e9bf7e846fb');
INSERT INTO "change" VALUES(5,5,1,'fa4c5817a1304d71');
INSERT INTO "change" VALUES(6,5,1,'81b1401736cd4b46');
INSERT INTO "change" VALUES(7,6,1,'5e2e3e482c6943c9');
INSERT INTO "change" VALUES(8,6,0,'c0a24843cc35b6ca');
CREATE TABLE decision (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            made_at TEXT NOT NULL,
            made_by TEXT NOT NULL CHECK (made_by IN ('human', 'machine')),
            kind TEXT NOT NULL,       -- enroll, rename, forget, ...
            person_id INTEGER,        -- no reference: a decision outlives what it was about
            face_id INTEGER,
            payload TEXT NOT NULL,    -- JSON
            undoes INTEGER REFERENCES decision
        , run INTEGER) STRICT;
INSERT INTO "decision" VALUES(1,'2026-12-01T12:29:23+00:00','human','enroll',1,1,'{}',NULL,NULL);
INSERT INTO "decision" VALUES(2,'2026-12-01T12:29:23+00:00','human','enroll',2,2,'{}',NULL,1);
INSERT INTO "decision" VALUES(3,'2026-12-01T12:29:23+00:00','human','rename',1,NULL,'{"summary":"renamed Augusta to Ada","changes":[["person",1,{"name":"Augusta"},{"name":"Ada"}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(4,'2026-12-01T12:29:23+00:00','human','enroll',1,3,'{}',NULL,NULL);
INSERT INTO "decision" VALUES(5,'2026-12-01T12:29:23+00:00','human','enroll',3,4,'{}',NULL,4);
INSERT INTO "decision" VALUES(6,'2026-12-01T12:29:23+00:00','human','enroll',4,5,'{}',NULL,NULL);
INSERT INTO "decision" VALUES(7,'2026-12-01T12:29:23+00:00','human','merge',1,NULL,'{"summary":"merged Ada L. into Ada (1 face)","changes":[["face",5,{"person_id":4},{"person_id":1}],["person",4,{"name":"Ada L.","created_at":"2026-12-01T12:29:23+00:00"},null]]}',NULL,NULL);
INSERT INTO "decision" VALUES(8,'2026-12-01T12:29:23+00:00','human','not-same',2,NULL,'{"summary":"said that Grace and Hedy are two people","changes":[["not_same",1,null,{"person_a":2,"person_b":3}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(9,'2026-12-01T12:29:23+00:00','human','reject',3,NULL,'{"summary":"said that a face is not Hedy","photo":["fd0df4e2ac96cbf5e9983e300340f4bedbc1a4b229149dcc6ca16b61c1800be4","/photos/10-4_20-4.png"],"changes":[["rejection",1,null,{"person_id":3}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(10,'2026-12-01T12:29:23+00:00','human','confirm',3,NULL,'{"summary":"said that a face is Hedy","photo":["3cda7eda0dabb51034eaeb461de477de0cb801cb1b438488c1bd4d81848e0169","/photos/30-2.png"],"changes":[["photo",6,null,{}],["face",6,null,{"person_id":3,"assigned_by":"human"}],["template",6,null,{}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(11,'2026-12-01T12:29:23+00:00','human','undo',3,NULL,'{"photo":["3cda7eda0dabb51034eaeb461de477de0cb801cb1b438488c1bd4d81848e0169","/photos/30-2.png"],"changes":[["template",6,{"face_id":6,"fingerprint":"fa4e000000000000","vector":{"base64":"3BghrNcrapx1Li0lU6tWLi2sxiofr6id7zASpsC0nycUL6EthK5ZMdCKOawop68sfjLzr/usb7D5Me+xXCnkrCKiJZzqsi60IDMwsTq0GSr6IAuxdy0Kr56yEy3lLzEyqxw+rNOnJS3nJiktzSrFNVmoTSmCmL6smKzvLKKjUTE="}},null],["face",6,{"photo_id":6,"person_id":3,"assigned_by":"human","box_left":0.0,"box_top":0.0,"box_right":56.0,"box_bottom":56.0,"landmarks":{"base64":"rC2ZQQPJzkFIEBNCbwHOQc4Z4EEkeQ9CfDKmQSO7OEK1dQ1CgGg4Qg=="},"score":0.95,"sharpness":20.676982879638672},null],["photo",6,{"content_hash":"3cda7eda0dabb51034eaeb461de477de0cb801cb1b438488c1bd4d81848e0169","path":"/photos/30-2.png","width":56,"height":56,"added_at":"2026-12-01T12:29:23+00:00","orientation":1},null]]}',10,NULL);
INSERT INTO "decision" VALUES(12,'2026-12-01T12:29:23+00:00','human','not-same-photo',NULL,NULL,'{"summary":"said of a pair of photos that they are not one picture","changes":[["not_same_photo",1,null,{}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(13,'2026-12-01T12:29:24+00:00','human','dismiss',NULL,NULL,'{"summary":"said that a face is a stranger''s","photo":["b592031918d67afbb9859cdf9294e52cdbf01b94cb9c442c119bbcf089e3ffae","/photos/40-5.png"],"changes":[["dismissal",1,null,{}]]}',NULL,NULL);
CREATE TABLE decision_person (  -- whom a decision is about besides its person_id
            decision_id INTEGER NOT NULL REFERENCES decision ON DELETE CASCADE,
            person_id INTEGER NOT NULL,  -- no reference, as in decision
            PRIMARY KEY (decision_id, person_id)
        ) STRICT;
INSERT INTO "decision_person" VALUES(7,4);
INSERT INTO "decision_person" VALUES(8,3);
CREATE TABLE dismissal (  -- no template, as of those whom nobody named
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            content_hash TEXT NOT NULL,  -- of the photo, which need not be in the gallery
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL,
            verdict TEXT NOT NULL CHECK (verdict IN ('stranger', 'no face'))
        ) STRICT;
INSERT INTO "dismissal" VALUES(1,'b592031918d67afbb9859cdf9294e52cdbf01b94cb9c442c119bbcf089e3ffae',0.0,0.0,56.0,56.0,'stranger');
CREATE TABLE face (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            photo_id INTEGER NOT NULL REFERENCES photo ON DELETE CASCADE,
            person_id INTEGER NOT NULL REFERENCES person ON DELETE CASCADE,
            assigned_by TEXT NOT NULL CHECK (assigned_by IN ('human', 'machine')),
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL,
            landmarks BLOB NOT NULL,  -- (5, 2) little-endian float32
            score REAL NOT NULL,      -- the detector's
            sharpness REAL NOT NULL   -- of the crop
        , seal BLOB NOT NULL DEFAULT x'') STRICT;
INSERT INTO "face" VALUES(1,1,1,'human',0.0,0.0,56.0,56.0,X'AC2D994103C9CE41481013426F01CE41CE19E04124790F427C32A64123BB3842B5750D4280683842',0.95,2.07135696411132812504e+01,X'9DAFEB97E7316350');
INSERT INTO "face" VALUES(2,2,2,'human',0.0,0.0,56.0,56.0,X'AC2D994103C9CE41481013426F01CE41CE19E04124790F427C32A64123BB3842B5750D4280683842',0.95,2.05734024047851562491e+01,X'23905DF5DC97F06B');
INSERT INTO "face" VALUES(3,3,1,'human',0.0,0.0,56.0,56.0,X'AC2D994103C9CE41481013426F01CE41CE19E04124790F427C32A64123BB3842B5750D4280683842',0.95,2.04484252929687499995e+01,X'62ADF3098547831B');
INSERT INTO "face" VALUES(4,4,3,'human',0.0,0.0,56.0,56.0,X'AC2D994103C9CE41481013426F01CE41CE19E04124790F427C32A64123BB3842B5750D4280683842',0.95,2.1515977859497070312e+01,X'66899206E2ACBE03');
INSERT INTO "face" VALUES(5,5,1,'human',0.0,0.0,56.0,56.0,X'AC2D994103C9CE41481013426F01CE41CE19E04124790F427C32A64123BB3842B5750D4280683842',0.95,2.04484252929687499995e+01,X'398C01019C5CEB7F');
CREATE TABLE former_hash (
            content_hash TEXT PRIMARY KEY,
            identity TEXT,        -- of the picture; null until the file is seen
            orientation INTEGER,  -- of the boxes, as in EXIF
            width INTEGER,        -- as stored
            height INTEGER
        ) STRICT;
CREATE TABLE gallery (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            generation TEXT NOT NULL,   -- changes when a gallery is copied or restored
            model TEXT NOT NULL,        -- the name, for people
            fingerprint TEXT NOT NULL,  -- the model, for machines
            created_at TEXT NOT NULL
        , lineage TEXT NOT NULL DEFAULT '', writes INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "gallery" VALUES(1,'9769abf90083cd2b','fake','fa4e000000000000','2026-12-01T12:29:22+00:00','addd532ceccaab3a',17);
CREATE TABLE not_same (  -- two people, not one under two names
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            person_a INTEGER NOT NULL REFERENCES person ON DELETE CASCADE,
            person_b INTEGER NOT NULL REFERENCES person ON DELETE CASCADE,
            UNIQUE (person_a, person_b),
            CHECK (person_a < person_b)
        ) STRICT;
INSERT INTO "not_same" VALUES(1,2,3);
CREATE TABLE not_same_photo (  -- two pictures, not copies of one
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            hash_a TEXT NOT NULL,
            hash_b TEXT NOT NULL,
            UNIQUE (hash_a, hash_b),
            CHECK (hash_a < hash_b)
        ) STRICT;
INSERT INTO "not_same_photo" VALUES(1,'0000000000000000000000000000000000000000000000000000000000000000','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff');
CREATE TABLE person (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            created_at TEXT NOT NULL
        ) STRICT;
INSERT INTO "person" VALUES(1,'Ada','2026-12-01T12:29:23+00:00');
INSERT INTO "person" VALUES(2,'Grace','2026-12-01T12:29:23+00:00');
INSERT INTO "person" VALUES(3,'Hedy','2026-12-01T12:29:23+00:00');
CREATE TABLE photo (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            content_hash TEXT NOT NULL UNIQUE,  -- SHA-256 of the file's bytes
            path TEXT,                          -- where it was when enrolled; null when forgotten
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            added_at TEXT NOT NULL
        , orientation INTEGER NOT NULL DEFAULT 1) STRICT;
INSERT INTO "photo" VALUES(1,'b19c8ad2823f78893cfd8bdab9011b5cff66bc247ebfffcbcb8f98a4d1477546','/photos/10-1.png',56,56,'2026-12-01T12:29:23+00:00',1);
INSERT INTO "photo" VALUES(2,'b9d21d8e973991afbf9501a6ac4adc3409986ea2a6e3681aeef8e3cc64b9e8a3','/photos/20-1.png',56,56,'2026-12-01T12:29:23+00:00',1);
INSERT INTO "photo" VALUES(3,'c5bf0b7e304955cdda7aaa634cf8018c49846d49d9b240e442084cfe6aad6c53','/photos/10-2.png',56,56,'2026-12-01T12:29:23+00:00',1);
INSERT INTO "photo" VALUES(4,'1de2594695a51ce20cd661b9da4f56eee93b562015a375a4c943fc37733fcfd0','/photos/30-1.png',56,56,'2026-12-01T12:29:23+00:00',1);
INSERT INTO "photo" VALUES(5,'84e20cee383558d49a7fb868861ef6f3b36bd53e1de642f4638dc193ce947a49','/photos/10-3.png',56,56,'2026-12-01T12:29:23+00:00',1);
CREATE TABLE rejection (  -- this face is not this person, whether enrolled or not
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            content_hash TEXT NOT NULL,  -- of the photo, which need not be in the gallery
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL,
            person_id INTEGER NOT NULL REFERENCES person ON DELETE CASCADE
        ) STRICT;
INSERT INTO "rejection" VALUES(1,'fd0df4e2ac96cbf5e9983e300340f4bedbc1a4b229149dcc6ca16b61c1800be4',56.0,0.0,112.0,56.0,3);
CREATE TABLE scrub_due (id INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;
CREATE TABLE template (
            id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the id in the index, never used again
            face_id INTEGER NOT NULL REFERENCES face ON DELETE CASCADE,
            fingerprint TEXT NOT NULL,
            vector BLOB NOT NULL                   -- (dim,) little-endian float16
        , seal BLOB NOT NULL DEFAULT x'') STRICT;
INSERT INTO "template" VALUES(1,1,'fa4e000000000000',X'962ED53128B28CB26122B81E0EB31CA0C131DD2AF72F292D4F2C57B2D22A87B0B734C41CE222B0B3612869A6053160A6578C7F3197A68F2DAAAD65B0CB26552527ADCC2E6A274D31D027ADA61B282933F1A859B34BB0F2A9D72C8A2B23A39BAE3BA6422F03B07DAEB0AF14AC8F1BC7ADE3A31C35D027D33018B49DA5642F132B',X'CB8EC0A0CE1D532E');
INSERT INTO "template" VALUES(2,2,'fa4e000000000000',X'582D183017A902AC11AD90B16732B4AC18303F3005B2FD2D53A63FB240AF3E30BFB1A32D152FC19C0232B8ACBB9F30B3932FF42D86AC6BB09231673460296130E8A46EAE0432D5AAEB2EB2AB192CA4B3C62CA52A2FA546B182AD823308ABBD315530D2A83A2DBE2CC8AD2EAE7331AF281FAB42B08EABA4B24F26EBAEC72CC3A9',X'C2C403B4E1F05B99');
INSERT INTO "template" VALUES(3,3,'fa4e000000000000',X'2A2C4A2D67B017B11529659C12B2859CC4311D2C4A32432EDB2E3EB1C52582B0183402AA419E61B299A75DA8593193AA78A6C031D5A141250DAA7DAB102DEF281AAC9730242E72317E0F942CA129023131AD04B34BB317ADC032082C11260CADE5261D267DB1DDA949ADF22CEF28DF1340AF183548AC2F310BB40B1F8D3390AA',X'7809EA19C535A6B2');
INSERT INTO "template" VALUES(4,4,'fa4e000000000000',X'7AA92BAF9DA81429922EF3A603ABB92D0DAFDBA564B2869D492348B00EB4C6279B2EFE2E662920300E2D0BAFD12B943176303EAD47B1B6AF103092AFD922ABAA4DAE153044B28EB1262E94B3D7AF6C2A6D2956B16C30E7AAD4B4C52C66319232C03035ADF0A7A4156B2D202EA417B73512243C2FBD2F43AC3EA8FA2F1FAA462E',X'63CB046646E80863');
INSERT INTO "template" VALUES(5,5,'fa4e000000000000',X'1B27242DC3AC8FAED39CB0AE36B4AF9EF43332177F30D82D672C47B3962D2EB0C932EF1E712949B1C7295CAEF52D1AB0A72F1D2D6526F2305EB1F9ABEA2EAB273DA5482C3E2D33313F296D207A2C77329A2619B5EAB124ADBE2D3D2F9D259CAC98297D29C6B074AC0AB0732D48208FAE26AF813483AF532D50B40FA678307B24',X'AB3409DA36CD3D77');
CREATE TABLE unnamed_face (  -- no template: what is known of strangers is a place
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            group_id INTEGER NOT NULL REFERENCES unnamed_group ON DELETE CASCADE,
            content_hash TEXT NOT NULL,  -- of the photo, which need not be in the gallery
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL
        ) STRICT;
INSERT INTO "unnamed_face" VALUES(1,1,'c1d69debb2b276ca2318e04f496f37dccf5bfda48b659efed7cfe58729529df3',0.0,0.0,56.0,56.0);
INSERT INTO "unnamed_face" VALUES(2,1,'e939500e630146ac4638381bc0bef566cd8eff00fe1e7754b05aaad61016a480',0.0,0.0,56.0,56.0);
INSERT INTO "unnamed_face" VALUES(3,1,'4fab1420ce7125cc3a4d67b25cb83a7a3f61bc27344c87e9a9745093c765eb1c',0.0,0.0,56.0,56.0);
CREATE TABLE unnamed_group (
            id INTEGER PRIMARY KEY AUTOINCREMENT  -- never used again
        ) STRICT;
INSERT INTO "unnamed_group" VALUES(1);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX face_of_photo ON face (photo_id);
CREATE INDEX face_of_person ON face (person_id);
CREATE INDEX template_of_face ON template (face_id);
CREATE INDEX decision_of_person ON decision (person_id);
CREATE TRIGGER template_added AFTER INSERT ON template BEGIN
            INSERT INTO change (template_id, added, token)
            VALUES (new.id, 1, lower(hex(randomblob(8))));
        END;
CREATE TRIGGER template_removed AFTER DELETE ON template BEGIN
            INSERT INTO change (template_id, added, token)
            VALUES (old.id, 0, lower(hex(randomblob(8))));
        END;
CREATE INDEX not_same_b ON not_same (person_b);
CREATE INDEX rejection_of_photo ON rejection (content_hash);
CREATE INDEX rejection_of_person ON rejection (person_id);
CREATE INDEX decision_of_other_person ON decision_person (person_id);
CREATE INDEX decision_of_face ON decision (face_id);
CREATE INDEX undoing_decision ON decision (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX decision_of_run ON decision (coalesce(run, id));
CREATE INDEX decision_that_notes ON decision (id) WHERE kind <> 'enroll';
CREATE TRIGGER face_moved AFTER UPDATE OF person_id ON face
        WHEN old.person_id <> new.person_id BEGIN
            INSERT INTO change (template_id, added, token)
            SELECT id, 1, lower(hex(randomblob(8))) FROM template WHERE face_id = new.id;
        END;
CREATE INDEX unnamed_face_of_photo ON unnamed_face (content_hash);
CREATE INDEX unnamed_face_of_group ON unnamed_face (group_id);
CREATE INDEX dismissal_of_photo ON dismissal (content_hash);
CREATE INDEX former_hash_of_picture ON former_hash (identity) WHERE identity IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('person',4);
INSERT INTO "sqlite_sequence" VALUES('photo',6);
INSERT INTO "sqlite_sequence" VALUES('face',6);
INSERT INTO "sqlite_sequence" VALUES('change',8);
INSERT INTO "sqlite_sequence" VALUES('template',6);
INSERT INTO "sqlite_sequence" VALUES('decision',13);
INSERT INTO "sqlite_sequence" VALUES('not_same',1);
INSERT INTO "sqlite_sequence" VALUES('rejection',1);
INSERT INTO "sqlite_sequence" VALUES('not_same_photo',1);
INSERT INTO "sqlite_sequence" VALUES('unnamed_group',1);
INSERT INTO "sqlite_sequence" VALUES('unnamed_face',3);
INSERT INTO "sqlite_sequence" VALUES('dismissal',1);
COMMIT;
