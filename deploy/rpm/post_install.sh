systemd-sysusers hypersdk.conf
systemd-tmpfiles --create hypersdk.conf
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart hypervisord.service || true
fi
