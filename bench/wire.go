package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// The benchmark's own HTTP/1.1: just enough of it to ask for a size and to be sure that the answer has it.

var headEnd = []byte("\r\n\r\n")

// What clients ask for, and what they call themselves.
const (
	hostName   = "bench.example"
	clientName = "curl/8.5.0"
)

// requestFor is a GET as curl would send it. The origin answers with as many bytes as the path's last segment says.
func requestFor(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + hostName + "\r\nUser-Agent: " + clientName + "\r\nAccept: */*\r\n\r\n")
}

// responseOf is the origin's whole response with a body of size bytes.
func responseOf(size int64, date string) []byte {
	head := "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: " + date + "\r\nContent-Type: application/octet-stream\r\n" +
		"Cache-Control: max-age=60\r\nContent-Length: " + strconv.FormatInt(size, 10) + "\r\n\r\n"
	return append([]byte(head), bytes.Repeat([]byte("fairlead"), int(size+7)/8)[:size]...)
}

// requestedSize reads the size off a request's path; a path that names none (a health check) asks for no body.
func requestedSize(head []byte) int64 {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	end := bytes.LastIndexByte(line, ' ')
	if end < 0 {
		return 0
	}
	start := bytes.LastIndexByte(line[:end], '/')
	size, err := strconv.ParseInt(string(line[start+1:end]), 10, 64)
	if err != nil || size < 0 || size > maxSize {
		return 0
	}
	return size
}

var errNoLength = errors.New("response without Content-Length")

// checkHead verifies a response's status and Content-Length. It returns the length of the head with its empty line,
// or 0 if the head is not complete yet.
func checkHead(b []byte, size int64) (int, error) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return 0, nil
	}
	status, fields, _ := bytes.Cut(b[:end+2], []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return 0, fmt.Errorf("response %q", status)
	}
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) != len("Content-Length") || !bytes.EqualFold(name, []byte("Content-Length")) {
			continue
		}
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil || n != size {
			return 0, fmt.Errorf("response of %s bytes instead of %d", bytes.TrimSpace(value), size)
		}
		return end + len(headEnd), nil
	}
	return 0, errNoLength
}
