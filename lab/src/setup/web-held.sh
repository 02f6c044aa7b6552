apt-mark hold lab-web >/dev/null
