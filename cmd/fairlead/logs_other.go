//go:build !unix

package main

// There is nothing here that opening could wait for.
const withoutWaiting = 0
