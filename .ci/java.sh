#!/usr/bin/env bash
# Make sure there is Java 17 or newer: install it where apt and root allow, else say how.
set -u
major() { java -version 2>&1 | sed -nE '1s/.*"([0-9]+).*/\1/p'; }
if command -v java >/dev/null && [ "$(major)" -ge 17 ] 2>/dev/null; then exit 0; fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "Installing Java 17 (openjdk-17-jre-headless, 44 MB) …"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null && exit 0
fi
found=$(command -v java >/dev/null && echo "found Java $(major)" || echo "found none")
echo "pinlake needs Java 17 or newer ($found)."
echo "  Debian, Ubuntu:  sudo apt-get install openjdk-17-jre-headless"
echo "  Fedora:          sudo dnf install java-17-openjdk-headless"
echo "  macOS:           brew install openjdk@17"
echo "Then run this command again."
exit 4
