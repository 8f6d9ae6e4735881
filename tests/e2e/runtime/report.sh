# What a process can see of where it is: run by steps of every builder, and compared.
say() { echo "== $1"; }
say id; id -u; id -g; id -G
say status; grep -E '^(Cap|NoNewPrivs|Seccomp:|Sig(Blk|Ign)|Umask|Groups|NSsid)' /proc/self/status | tr '\t' ' '
say umask; umask
say limits; grep -v -E 'open files|processes|pending|locked|address|stack' /proc/self/limits | awk '{$1=$1; print}'
say oom; cat /proc/self/oom_score_adj
say hostname; hostname; cat /proc/sys/kernel/domainname
say cwd; pwd; stat -c '%u:%g %a' .
say env; env | grep -v -E '^(SHLVL|_|PWD|OLDPWD)=' | sort
say args; tr '\0' '|' < /proc/1/cmdline; echo
say hosts; cat /etc/hosts; stat -c '%u:%g %a' /etc/hosts /etc/resolv.conf
say resolv; cat /etc/resolv.conf
say mounts; awk '$5 != "/" && $5 != "/sys/fs/cgroup" && $5 !~ "^/sys/fs/cgroup/" {sep=0; for(i=7;i<=NF;i++) if($i=="-") sep=i; print $5, $6, ($5 ~ "^/(dev|proc|sys|t[12]|run)" ? $(sep+1) : "-")}' /proc/self/mountinfo | sort
say tmpfs; df -k 2>/dev/null | awk '$1 == "shm" || $6 ~ "^/(dev|t)" {print $6, $2}' | sort -u
say dev; ls -ln /dev | awk 'NR>1 && $1 ~ /^[cb]/ {print $1,$3,$4,$5,$6,$NF; next} NR>1 {print $1,$3,$4,$9,$10,$11}'
say fd; for f in 0 1 2; do [ -p /proc/self/fd/$f ] && echo $f pipe; [ -f /proc/self/fd/$f ] && echo $f file; done; ls /proc/self/fd | wc -l
say masked; for f in /proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do [ -e $f ] && echo "$f $(ls -A $f 2>/dev/null | wc -l) $(head -c1 $f 2>/dev/null | wc -c)"; done
say readonly; for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq /proc/bus /sys/kernel; do (echo x > $f) 2>&1 | sed 's/.*: //' | head -1 | sed "s|^|$f |"; done
say net; ip -o link | awk '{print $2}' | sort
say ps; set -- /proc/[0-9]*; echo $#
say ns; for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n | sed 's/:.*//'; done
say sysv; cat /proc/sys/kernel/shmmax /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range 2>&1
say secrets; for f in /run/secrets/*; do stat -c '%n %u:%g %a %s' $f; done 2>/dev/null
say forbidden; unshare -U true 2>&1 | head -1; mount -t tmpfs none /mnt 2>&1 | head -1; mknod /tmp/n c 1 3 && echo mknod && rm /tmp/n; chroot / true && echo chroot; dmesg 2>&1 | head -1 | cut -c1-40; date -s @0 2>&1 | head -1; hostname x 2>&1 | head -1
say files; touch /tmp/newfile; stat -c '%u:%g %a' /tmp/newfile; rm /tmp/newfile
say end
