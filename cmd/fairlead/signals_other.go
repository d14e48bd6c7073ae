//go:build !unix

package main

import "os"

// There are no such signals here. A watched file is reloaded all the same.
var reloadSignals, upgradeSignals []os.Signal
