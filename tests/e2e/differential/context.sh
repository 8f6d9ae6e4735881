#!/bin/sh
# Makes the build context of all cases in the current directory: every kind of file there is. Needs root (devices, owners).
set -eu
umask 022

printf 'a\n' > a.txt
printf 'b\n' > b.txt
printf '# c\n' > c.md
: > empty
printf '#!/bin/sh\n' > exec.sh && chmod 755 exec.sh
printf 'p\n' > private && chmod 600 private

mkdir -p dir/sub/deep dir/void
printf '1\n' > dir/one.txt
printf '2\n' > dir/two.md
printf '3\n' > dir/sub/three.txt
printf '4\n' > dir/sub/deep/four.txt
printf 'h\n' > dir/.hidden
chmod 750 dir/sub

# Links of every kind: beside, absolute, to nothing, to itself, up and out of the context.
mkdir links
ln -s one.txt links/beside
printf 'x\n' > links/one.txt
ln -s /etc/passwd links/absolute
ln -s nowhere links/dangling
ln -s self links/self
ln -s ../a.txt links/up
ln -s ../../../../../../../../etc/hostname links/out
ln -s ../dir links/to-dir
ln -s dir to-dir
ln -s a.txt to-file
ln -s to-file to-to-file

mkdir hard
printf 'same\n' > hard/first
ln hard/first hard/second
mkdir hard/below
ln hard/first hard/below/third
printf 'same\n' > hard/alone

# Bits and owners.
mkdir bits
for bits in 4755 2755 1755 6711 0000 0200 0777; do printf '%s\n' $bits > bits/f$bits; chown 7:8 bits/f$bits; chmod $bits bits/f$bits; done
for bits in 2775 1777 0700; do mkdir bits/d$bits; chown 9:10 bits/d$bits; chmod $bits bits/d$bits; printf x > bits/d$bits/file; done
mkdir owned && printf 'o\n' > owned/file && ln -s file owned/link && chown -hR 1000:1001 owned
printf 'big\n' > owned/huge-id && chown 3000000000:4000000000 owned/huge-id

# Names.
mkdir names
n=$(printf '%0150d' 0)
for name in 'with space' 'ünïcödé' '日本語' 'star*' '[brackets]' 'back\slash' '$DOLLAR' "quo'te\"s" '-dash' '#hash' 'semi;colon' "$n" 'Upper' '.dot' '..dots'; do
  printf 'n\n' > "names/$name"
done
mkdir -p "names/$n-dir/$n-dir" && printf 'deep\n' > "names/$n-dir/$n-dir/file"
ln -s "$n/$n" names/long-target

mkdir special
mkfifo special/fifo
mknod special/null c 1 3
mknod special/block b 7 200
chmod 666 special/null
chmod 640 special/block
truncate -s 3M special/sparse && printf 'end' >> special/sparse
mkdir attributes && printf 'u\n' > attributes/user && printf 'p\n' > attributes/plain

mkdir -p wild/ab wild/b wild/.hid
for name in a1 a2 b1 ab/x ab/y b/z .hid/h .dot; do printf '%s\n' $name > wild/$name; done

mkdir -p parents/x/y/z parents/w
for name in x/one x/y/two x/y/z/three w/four; do printf '%s\n' $name > parents/$name; done
chmod 700 parents/x/y && chown 11:12 parents/x/y

# What a directory becomes a file and a file a directory over.
mkdir -p clash/file clash/dir
printf 'inner\n' > clash/file/inner
printf 'f\n' > clash/dir/name

mkdir -p build/keep build/node_modules/m
printf 'k\n' > build/keep/k.txt && printf 'l\n' > build/keep/l.log && printf 'm\n' > build/node_modules/m/m.js && printf 'r\n' > build/README.md

# Archives: every type of entry, owners, times, implied directories, entries over each other.
mkdir -p in/d/e in/special
printf 'f\n' > in/d/f
printf 'g\n' > in/d/e/g
ln in/d/f in/d/hard
ln -s f in/d/soft
ln -s /etc/passwd in/d/absolute
ln -s ../../../up in/d/e/up
printf 's\n' > in/setuid && chmod 4755 in/setuid
mkfifo in/special/fifo
mknod in/special/zero c 1 5
mkdir in/sticky && chmod 1777 in/sticky
pack() { tar --format=pax --pax-option=delete=atime,delete=ctime --sort=name --mtime=@1500000000 --owner=:5 --group=:6 "$@"; }
mkdir archives
pack -C in -cf archives/plain.tar .
gzip -n < archives/plain.tar > archives/plain.tar.gz
bzip2 < archives/plain.tar > archives/plain.tar.bz2
xz < archives/plain.tar > archives/plain.tar.xz
zstd -q < archives/plain.tar > archives/plain.tar.zst
gzip -n < archives/plain.tar > archives/misnamed.txt
pack -C in -cf archives/implied.tar d/e/g d/f setuid
pack -C in -cf archives/fraction.tar --mtime=@1500000000.75 d/f
pack -C in -cf archives/before-1970.tar --mtime=@-5 d/f
printf 'second\n' > in/d/f2 && cp archives/implied.tar archives/twice.tar && pack -C in --transform='s,d/f2,d/f,' -rf archives/twice.tar d/f2
tar --format=ustar --numeric-owner --mtime=@1500000000 -C in -cf archives/ustar.tar d
printf 'no tar\n' > archives/text.tar
head -c 1024 /dev/zero > archives/none.tar
head -c 700 archives/plain.tar > archives/cut.tar
printf 'w\n' > in/.wh.white && pack -C in -cf archives/whiteout-name.tar .wh.white
ln -s plain.tar archives/link.tar
rm -r in

find . -exec touch -h -d @1600000000 {} +
