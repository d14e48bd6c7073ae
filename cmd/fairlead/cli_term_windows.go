package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// terminalSize asks a console for the width and height of its window. Both are
// 0 for what is none.
func terminalSize(f *os.File) (width, height int) {
	var info windows.ConsoleScreenBufferInfo
	if err := windows.GetConsoleScreenBufferInfo(windows.Handle(f.Fd()), &info); err != nil {
		return 0, 0
	}
	return int(info.Window.Right-info.Window.Left) + 1, int(info.Window.Bottom-info.Window.Top) + 1
}
