//! Dockerfiles without RUN, and what the native engine means to do otherwise than buildah.

/// One Dockerfile; `BASE` stands for the base image.
pub(super) struct Case {
    pub(super) dockerfile: &'static str,
    /// Parts of the differences that are meant, each with the reason beside it.
    pub(super) differs: &'static [&'static str],
}

const fn same(dockerfile: &'static str) -> Case {
    Case { dockerfile, differs: &[] }
}

pub(super) const CASES: &[Case] = &[
    same("FROM scratch\nCOPY a.txt /a.txt\n"),
    same("FROM scratch\nCOPY a.txt b.txt /files/\n"),
    same("FROM scratch\nCOPY dir /copied\n"),
    same("FROM scratch\nCOPY dir/ /deep/er/\n"),
    same("FROM scratch\nCOPY *.txt /all/\n"),
    same("FROM scratch\nCOPY . /\n"),
    same("FROM scratch\nCOPY --chown=7:8 dir /owned\n"),
    same("FROM scratch\nCOPY --chown=7 a.txt /owned/a.txt\n"),
    same("FROM scratch\nCOPY --chmod=750 a.txt run.sh /bin/\n"),
    same("FROM scratch\nCOPY dir/link /followed\nCOPY dir/sub/../one /one\n"),
    same("FROM scratch\nADD archive.tar.gz /unpacked/\n"),
    same("FROM scratch\nADD plain.tar /\nADD a.txt /\n"),
    same("FROM scratch\nADD not-an-archive.gz /x/\n"),
    same("FROM scratch\nWORKDIR /one\nWORKDIR two\nCOPY a.txt .\nCOPY b.txt ./here/\n"),
    same("FROM scratch\nCOPY [\"with space.txt\", \"/with space/\"]\n"),
    same(
        "ARG V=1\nFROM scratch\nCOPY a.txt /\nARG V\nARG W=${V}2\nENV A=$V B=\"x $W\" C='$V'\nLABEL l=$A m=\"$B\"\nENV D=${NO:-none}\n",
    ),
    same(
        "FROM scratch\nARG TARGETARCH\nARG TARGETPLATFORM\nENV T=$TARGETARCH P=$TARGETPLATFORM\nCOPY ${TARGETARCH}.txt /arch\n",
    ),
    same(
        "FROM scratch\nCOPY a.txt /\nENTRYPOINT [\"/a\", \"b\"]\nCMD [\"c\"]\nUSER 5:6\nEXPOSE 80 53/udp\nVOLUME /v /w\nSTOPSIGNAL SIGINT\n",
    ),
    same("FROM scratch\nCOPY a.txt /\nCMD echo $HOME\nENTRYPOINT exec run\n"),
    // buildah keeps no SHELL in OCI images while it builds them; BuildKit does.
    Case {
        dockerfile: "FROM scratch\nCOPY a.txt /\nSHELL [\"/bin/ash\", \"-c\"]\nCMD run it\n",
        differs: &["Cmd: "],
    },
    same("FROM scratch\nCOPY a.txt /\nHEALTHCHECK --interval=5s --retries=2 CMD [\"/check\"]\n"),
    same("FROM scratch\nONBUILD COPY a.txt /later\nCOPY b.txt /\n"),
    same(
        "FROM scratch AS one\nCOPY --chown=3:4 dir /dir\nENV X=1\nFROM scratch\nCOPY --from=one /dir /taken\nCOPY --from=0 /dir/one /file\n",
    ),
    same("FROM scratch AS one\nCOPY a.txt /\nENV X=1\nFROM one\nCOPY b.txt /\nENV Y=$X\n"),
    same("FROM scratch AS one\nONBUILD COPY a.txt /triggered\nFROM one\nCOPY b.txt /\n"),
    same("FROM BASE\nCOPY a.txt /lib/a.txt\n"),
    same("FROM BASE\nCOPY a.txt /absolute/a.txt\nCOPY b.txt /climbing/b.txt\n"),
    same("FROM BASE\nCOPY a.txt /data/\nCOPY dir /data\n"),
    same("FROM BASE\nCOPY --chown=app:staff a.txt /a\nCOPY --chown=app b.txt /b\n"),
    // BuildKit gives a directory that WORKDIR makes to the USER, buildah 1.28 to root.
    Case {
        dockerfile: "FROM BASE\nUSER app\nWORKDIR /home/app/work\nCOPY a.txt .\n",
        differs: &["home/app/work: "],
    },
    same("FROM BASE\nCOPY a.txt /etc/motd\nENV PATH=/opt:$PATH\nCMD [\"new\"]\n"),
    same("FROM BASE\nENTRYPOINT [\"/new\"]\n"),
    same("FROM scratch\nCOPY --from=BASE /etc/passwd /lib /from-base/\n"),
    same("FROM scratch\nCOPY --from=BASE / /\n"),
    same("FROM BASE AS one\nCOPY a.txt /data/file\nFROM BASE\nCOPY --from=one /data /data\n"),
];
