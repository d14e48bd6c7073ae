// Package bubble holds tests of what time does to a proxy: the checkers of two
// origins and the pointer of their group, wired as cmd/fairlead wires them, in
// bubbles of testing/synctest, where an hour of outages takes milliseconds.
//
// The origins are connections in memory that follow a schedule. They keep a log
// of every probe and of what they did to it, and a witness reads the events and
// the flips beside it: neither believes a word of what the pointer says of itself.
//
// There is nothing here to import. Two things a bubble can't show are shown where
// they can be: what a stop of our own process does to a checker, whose clock then
// jumps, by the tests of package health; and that no wait goes by the wall clock,
// since a bubble has no other, by the tests of package failover.
package bubble
