import io, json, os, stat, sys, tarfile, tempfile, time, urllib.parse
root, live = sys.argv[1], sys.argv[2] == "live"
report = {"changed": [], "databases": [], "unsafe_databases": [], "left_out": []}
out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.GNU_FORMAT)
SMALL, TRIES = 1 << 20, 5

def mark(file):
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns

class Exactly:
    """As many bytes as announced, whatever happens to the file."""
    def __init__(self, file, size):
        self.file, self.left, self.short = file, size, False
    def read(self, count):
        count = min(count, self.left)
        data = self.file.read(count)
        if len(data) < count:
            self.short, data = True, data + bytes(count - len(data))
        self.left -= count
        return data

def add(path, status, size, file):
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = size, stat.S_IMODE(status.st_mode), int(status.st_mtime)
    out.addfile(info, file)

def add_database(path, full, status):
    import sqlite3
    with tempfile.NamedTemporaryFile() as copy:
        source = sqlite3.connect("file:" + urllib.parse.quote(full) + "?mode=ro", uri=True, timeout=30)
        target = sqlite3.connect(copy.name)
        try:
            source.backup(target)
        finally:
            target.close()
            source.close()
        with open(copy.name, "rb") as file:
            add(path, status, mark(file)[0], file)

def add_file(path, full, status):
    for attempt in range(TRIES):
        with open(full, "rb") as file:
            before = mark(file)
            if live and file.read(16) == b"SQLite format 3\0":
                try:
                    add_database(path, full, status)
                    report["databases"].append(path)
                    return True
                except Exception:
                    report["unsafe_databases"].append(path)
            file.seek(0)
            if before[0] > SMALL:
                content = Exactly(file, before[0])
                add(path, status, before[0], content)
                if content.short or mark(file) != before:
                    report["changed"].append(path)
                return False
            data = file.read()
            stable = len(data) == before[0] and mark(file) == before
            if live and time.time() - before[1] / 1e9 < 0.2:
                stable = False
        if stable or not live or attempt == TRIES - 1:
            break
        time.sleep(0.1)
    if not stable and live:
        report["changed"].append(path)
    add(path, status, len(data), io.BytesIO(data))
    return False

def walk(folder):
    names = sorted(os.listdir(os.path.join(root, folder)))
    databases = set()
    for name in names:
        path = os.path.join(folder, name)
        full = os.path.join(root, path)
        if not folder and (name == "lost+found" or name.startswith(".handsctl-")):
            continue
        try:
            status = os.lstat(full)
            if stat.S_ISDIR(status.st_mode):
                info = tarfile.TarInfo(path)
                info.type, info.mode, info.mtime = tarfile.DIRTYPE, stat.S_IMODE(status.st_mode), int(status.st_mtime)
                out.addfile(info)
                walk(path)
            elif stat.S_ISLNK(status.st_mode):
                info = tarfile.TarInfo(path)
                info.type, info.linkname, info.mtime = tarfile.SYMTYPE, os.readlink(full), int(status.st_mtime)
                out.addfile(info)
            elif stat.S_ISREG(status.st_mode):
                # The copy of a database has what they hold.
                if any(name == base + suffix for base in databases for suffix in ("-journal", "-wal", "-shm")):
                    continue
                if add_file(path, full, status):
                    databases.add(name)
            else:
                report["left_out"].append((path, "neither a file nor a folder nor a link"))
        except FileNotFoundError:
            pass
        except PermissionError:
            report["left_out"].append((path, "not readable"))

walk("")
text = json.dumps(report, ensure_ascii=False).encode("utf-8", "replace")
info = tarfile.TarInfo(".handsctl-report.json")
info.size = len(text)
out.addfile(info, io.BytesIO(text))
out.close()
