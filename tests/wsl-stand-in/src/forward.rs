//! Passes everything on to a program of Linux.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener},
    process::{Command, ExitCode, Stdio},
    thread,
};

/// Connects to the port `$0`, says which connection is which, and runs the script `$1` with all other arguments.
const INSIDE: &str = "exec 4<>/dev/tcp/127.0.0.1/$0 5<>/dev/tcp/127.0.0.1/$0 6<>/dev/tcp/127.0.0.1/$0 \
    7<>/dev/tcp/127.0.0.1/$0; echo in >&4; echo out >&5; echo err >&6; echo code >&7; \
    sh \"$@\" <&4 >&5 2>&6 4>&- 5>&- 6>&- 7>&-; code=$?; exec 4>&- 5>&- 6>&-; echo $code >&7";

/// Runs the script, and returns its exit code.
pub(crate) fn forward(script: &OsStr) -> io::Result<ExitCode> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port().to_string();
    let mut inside = Command::new(r"Z:\bin\bash");
    inside.args(["-c", INSIDE, &port]).arg(script).args(env::args_os().skip(1));
    inside.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut streams = BTreeMap::new();
    while streams.len() < 4 {
        let mut stream = BufReader::with_capacity(1, listener.accept()?.0);
        let mut name = String::new();
        stream.read_line(&mut name)?;
        streams.insert(name.trim().to_owned(), stream.into_inner());
    }
    let mut take = |name: &str| {
        streams.remove(name).ok_or_else(|| io::Error::other(format!("nobody connected as {name}")))
    };
    let (input, output, errors, mut code) = (take("in")?, take("out")?, take("err")?, take("code")?);
    // Whoever gives no more input than is wanted does not keep this process.
    thread::spawn(move || {
        let _ = copy(io::stdin().lock(), &input);
        let _ = input.shutdown(Shutdown::Write);
    });
    let errors = thread::spawn(move || copy(errors, io::stderr()));
    let _ = copy(output, io::stdout());
    let _ = errors.join();
    let mut text = String::new();
    code.read_to_string(&mut text)?;
    let code: u8 = text.trim().parse().map_err(io::Error::other)?;
    Ok(ExitCode::from(code))
}

/// Passes on everything as soon as it is there.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&piece[..read])?;
        to.flush()?;
    }
}
