package main

import (
	"fmt"
	"os"
	"time"

	waLog "go.mau.fi/whatsmeow/util/log"
)

// stderrLog keeps whatsmeow's log away from the events on standard output.
type stderrLog struct{ level, module string }

var ranks = map[string]int{"DEBUG": 0, "INFO": 1, "WARN": 2, "ERROR": 3}

func (l stderrLog) write(level, format string, args ...any) {
	if ranks[level] >= ranks[l.level] {
		now := time.Now().Format("15:04:05.000")
		fmt.Fprintf(os.Stderr, "%s %s %s %s\n", now, level, l.module, fmt.Sprintf(format, args...))
	}
}

func (l stderrLog) Debugf(format string, args ...any) { l.write("DEBUG", format, args...) }
func (l stderrLog) Infof(format string, args ...any)  { l.write("INFO", format, args...) }
func (l stderrLog) Warnf(format string, args ...any)  { l.write("WARN", format, args...) }
func (l stderrLog) Errorf(format string, args ...any) { l.write("ERROR", format, args...) }

func (l stderrLog) Sub(module string) waLog.Logger {
	if l.module != "" {
		module = l.module + "/" + module
	}
	return stderrLog{l.level, module}
}
