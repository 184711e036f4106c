//! Files with everything that Windows knows of them.

use std::{fs, io::Read as _, os::windows::fs::MetadataExt as _};

use polyarch::backend::hcs::{FileAttributes, HcsApi as _};

use super::scene::{DIRECTORY, alone, data, record};

/// The 1st of January 2024, in steps of 100 ns since 1601.
const DAY: i64 = 133_485_408_000_000_000;

#[test]
fn a_file_is_read_as_it_was_written() {
    alone(concat!(module_path!(), "::a_file_is_read_as_it_was_written"), |scene| {
        let path = scene.folder.join("file");
        let attributes = FileAttributes {
            attributes: 0x22,
            created: 0,
            accessed: DAY + 10,
            written: DAY + 20,
            changed: 0,
        };
        // Extended attributes, and more data than is given to Windows at once.
        let content = vec![b'x'; 600_000];
        let stream = [record(2, b"extended"), data(&content)].concat();
        scene.api.write_backup(&path, &attributes, &mut stream.as_slice()).expect("a file");
        let (read, mut reader) = scene.api.read_backup(&path).expect("a file");
        assert_eq!((read.attributes, read.accessed, read.written), (0x22, DAY + 10, DAY + 20));
        let mut again: Vec<u8> = Vec::new();
        // In pieces, as one reads that has little place.
        let mut piece = [0; 1000];
        loop {
            let length = reader.read(&mut piece).expect("a piece");
            if length == 0 {
                break;
            }
            again.extend(&piece[..length]);
        }
        assert!(again == stream, "{} bytes are not those {}", again.len(), stream.len());
        drop(reader);
        assert_eq!(fs::read(&path).expect("a file").len(), content.len());
        fs::remove_file(&path).expect("nobody has it open");
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}

#[test]
fn names_of_one_file_are_told_from_files_of_one_name() {
    alone(concat!(module_path!(), "::names_of_one_file_are_told_from_files_of_one_name"), |scene| {
        let (one, other, lonely) =
            (scene.folder.join("one"), scene.folder.join("other"), scene.folder.join("lonely"));
        fs::write(&one, "x").expect("a file");
        fs::hard_link(&one, &other).expect("a name");
        fs::write(&lonely, "x").expect("a file");
        let identity = |path| scene.api.identity(path).expect("an identity");
        assert_eq!(identity(&one), identity(&other));
        assert_eq!(identity(&one).names, 2);
        assert_eq!(identity(&lonely).names, 1);
        assert_ne!(identity(&one).id, identity(&lonely).id);
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}

#[test]
fn a_directory_gets_its_times_again_after_something_was_put_into_it() {
    alone(
        concat!(module_path!(), "::a_directory_gets_its_times_again_after_something_was_put_into_it"),
        |scene| {
            let path = scene.folder.join("directory");
            let attributes = FileAttributes { written: DAY, ..DIRECTORY };
            scene.api.write_backup(&path, &attributes, &mut std::io::empty()).expect("a directory");
            let written = || fs::metadata(&path).expect("a directory").last_write_time();
            assert_eq!(written(), DAY.cast_unsigned());
            fs::write(path.join("file"), "x").expect("a file");
            assert_ne!(written(), DAY.cast_unsigned());
            scene.api.set_attributes(&path, &attributes).expect("attributes");
            assert_eq!(written(), DAY.cast_unsigned());
            assert_eq!(scene.left(), Vec::<String>::new());
        },
    );
}
