PRAGMA application_id = 1179862833;
PRAGMA user_version = 6;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'facesearch','m001_people_photos_faces_templates','2026-12-01 06:04:35.052988+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'facesearch','m002_stamped_changes_and_due_scrubs','2026-12-01 06:04:35.062772+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'facesearch','m003_curation','2026-12-01 06:04:35.065586+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'facesearch','m004_groups_of_the_unnamed','2026-12-01 06:04:35.078842+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'facesearch','m005_dismissals','2026-12-01 06:04:35.079726+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'facesearch','m006_seals','2026-12-01 06:04:35.096801+00:00');
CREATE TABLE change (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            template_id INTEGER NOT NULL,
            added INTEGER NOT NULL CHECK (added IN (0, 1))
        , token TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO "change" VALUES(1,1,1,'6962c5e4aec39b84');
INSERT INTO "change" VALUES(2,2,1,'5ca78d2aca8650b8');
INSERT INTO "change" VALUES(3,3,1,'685c0fb2b9d99863');
INSERT INTO "change" VALUES(4,4,1,'199a46f40c645419');
INSERT INTO "change" VALUES(5,5,1,'e15c4a28036ab934');
INSERT INTO "change" VALUES(6,5,1,'abd49854edbb37a9');
INSERT INTO "change" VALUES(7,6,1,'470c6ab34bac90b2');
INSERT INTO "change" VALUES(8,6,0,'1682f5985b6eacc8');
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
INSERT INTO "decision" VALUES(1,'2026-12-01T06:04:35+00:00','human','enroll',1,1,'{}',NULL,NULL);
INSERT INTO "decision" VALUES(2,'2026-12-01T06:04:35+00:00','human','enroll',2,2,'{}',NULL,1);
INSERT INTO "decision" VALUES(3,'2026-12-01T06:04:35+00:00','human','rename',1,NULL,'{"summary":"renamed Augusta to Ada","changes":[["person",1,{"name":"Augusta"},{"name":"Ada"}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(4,'2026-12-01T06:04:35+00:00','human','enroll',1,3,'{}',NULL,NULL);
INSERT INTO "decision" VALUES(5,'2026-12-01T06:04:35+00:00','human','enroll',3,4,'{}',NULL,4);
INSERT INTO "decision" VALUES(6,'2026-12-01T06:04:35+00:00','human','enroll',4,5,'{}',NULL,NULL);
INSERT INTO "decision" VALUES(7,'2026-12-01T06:04:35+00:00','human','merge',1,NULL,'{"summary":"merged Ada L. into Ada (1 face)","changes":[["face",5,{"person_id":4},{"person_id":1}],["person",4,{"name":"Ada L.","created_at":"2026-12-01T06:04:35+00:00"},null]]}',NULL,NULL);
INSERT INTO "decision" VALUES(8,'2026-12-01T06:04:35+00:00','human','not-same',2,NULL,'{"summary":"said that Grace and Hedy are two people","changes":[["not_same",1,null,{"person_a":2,"person_b":3}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(9,'2026-12-01T06:04:35+00:00','human','reject',3,NULL,'{"summary":"said that a face is not Hedy","photo":["46dd8965ed9122d277ea6a4ea263bfbe9a89445764eeadf34cd820c9aae39f67","/photos/10-4_20-4.png"],"changes":[["rejection",1,null,{"person_id":3}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(10,'2026-12-01T06:04:35+00:00','human','confirm',3,NULL,'{"summary":"said that a face is Hedy","photo":["e0ce494e4210eb1d4d7dddcbc3fbd3655253cc5c0234d4e3449beb1682c8e869","/photos/30-2.png"],"changes":[["photo",6,null,{}],["face",6,null,{"person_id":3,"assigned_by":"human"}],["template",6,null,{}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(11,'2026-12-01T06:04:35+00:00','human','undo',3,NULL,'{"photo":["e0ce494e4210eb1d4d7dddcbc3fbd3655253cc5c0234d4e3449beb1682c8e869","/photos/30-2.png"],"changes":[["template",6,{"face_id":6,"fingerprint":"fa4e000000000000","vector":{"base64":"3BghrNcrapx1Li0lU6tWLi2sxiofr6id7zASpsC0nycUL6EthK5ZMdCKOawop68sfjLzr/usb7D5Me+xXCnkrCKiJZzqsi60IDMwsTq0GSr6IAuxdy0Kr56yEy3lLzEyqxw+rNOnJS3nJiktzSrFNVmoTSmCmL6smKzvLKKjUTE="}},null],["face",6,{"photo_id":6,"person_id":3,"assigned_by":"human","box_left":0.0,"box_top":0.0,"box_right":56.0,"box_bottom":56.0,"landmarks":{"base64":"rC2ZQQPJzkFIEBNCbwHOQc4Z4EEkeQ9CfDKmQSO7OEK1dQ1CgGg4Qg=="},"score":0.95,"sharpness":20.676982879638672},null],["photo",6,{"content_hash":"e0ce494e4210eb1d4d7dddcbc3fbd3655253cc5c0234d4e3449beb1682c8e869","path":"/photos/30-2.png","width":56,"height":56,"added_at":"2026-12-01T06:04:35+00:00"},null]]}',10,NULL);
INSERT INTO "decision" VALUES(12,'2026-12-01T06:04:35+00:00','human','not-same-photo',NULL,NULL,'{"summary":"said of a pair of photos that they are not one picture","changes":[["not_same_photo",1,null,{}]]}',NULL,NULL);
INSERT INTO "decision" VALUES(13,'2026-12-01T06:04:35+00:00','human','dismiss',NULL,NULL,'{"summary":"said that a face is a stranger''s","photo":["253c9f4d7a4ce87028d679947bee4a5eb2d3e911ba8982307e0d142db0b38189","/photos/40-5.png"],"changes":[["dismissal",1,null,{}]]}',NULL,NULL);
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
INSERT INTO "dismissal" VALUES(1,'253c9f4d7a4ce87028d679947bee4a5eb2d3e911ba8982307e0d142db0b38189',0.0,0.0,56.0,56.0,'stranger');
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
CREATE TABLE gallery (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            generation TEXT NOT NULL,   -- changes when a gallery is copied or restored
            model TEXT NOT NULL,        -- the name, for people
            fingerprint TEXT NOT NULL,  -- the model, for machines
            created_at TEXT NOT NULL
        , lineage TEXT NOT NULL DEFAULT '', writes INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "gallery" VALUES(1,'22220d2f1112084b','fake','fa4e000000000000','2026-12-01T06:04:35+00:00','c7fbbc7a7267c9a2',0);
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
INSERT INTO "person" VALUES(1,'Ada','2026-12-01T06:04:35+00:00');
INSERT INTO "person" VALUES(2,'Grace','2026-12-01T06:04:35+00:00');
INSERT INTO "person" VALUES(3,'Hedy','2026-12-01T06:04:35+00:00');
CREATE TABLE photo (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            content_hash TEXT NOT NULL UNIQUE,  -- SHA-256 of the file's bytes
            path TEXT,                          -- where it was when enrolled; null when forgotten
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            added_at TEXT NOT NULL
        ) STRICT;
INSERT INTO "photo" VALUES(1,'2937314be0aaa2ab6c91d09f81985867ea3047e7e3f50d5635e85fff70cb5397','/photos/10-1.png',56,56,'2026-12-01T06:04:35+00:00');
INSERT INTO "photo" VALUES(2,'7645e7fd5e19fb94a12f3cfee7d4cdc26d838cdbeb93550b192bcf445710609d','/photos/20-1.png',56,56,'2026-12-01T06:04:35+00:00');
INSERT INTO "photo" VALUES(3,'035a95efb8b6aa28130670197b30ab443e77060b215f900e9206508b3d562515','/photos/10-2.png',56,56,'2026-12-01T06:04:35+00:00');
INSERT INTO "photo" VALUES(4,'4410d19ef842159752e84b7e585eea44a0e3820ae40f7bf9404e6ec63649afe2','/photos/30-1.png',56,56,'2026-12-01T06:04:35+00:00');
INSERT INTO "photo" VALUES(5,'66115dc445a706ef18572df96d815978974a404e910e53fd98d416e378634a16','/photos/10-3.png',56,56,'2026-12-01T06:04:35+00:00');
CREATE TABLE rejection (  -- this face is not this person, whether enrolled or not
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            content_hash TEXT NOT NULL,  -- of the photo, which need not be in the gallery
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL,
            person_id INTEGER NOT NULL REFERENCES person ON DELETE CASCADE
        ) STRICT;
INSERT INTO "rejection" VALUES(1,'46dd8965ed9122d277ea6a4ea263bfbe9a89445764eeadf34cd820c9aae39f67',56.0,0.0,112.0,56.0,3);
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
INSERT INTO "unnamed_face" VALUES(1,1,'2dbf21fb58b5fb9405c1b6547a88e755223d37d4a833fe063adca21138f1f756',0.0,0.0,56.0,56.0);
INSERT INTO "unnamed_face" VALUES(2,1,'2241b1e2b4f462fe44c5b14a85bda7e63c989ce0346023283540e0d1999c8c13',0.0,0.0,56.0,56.0);
INSERT INTO "unnamed_face" VALUES(3,1,'fac50f3d4de9ce5a7a29f9178acc1552938ac50da6eff7f2cb4d0dcb96c84d11',0.0,0.0,56.0,56.0);
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
