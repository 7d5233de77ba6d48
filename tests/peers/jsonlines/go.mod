module jsonlines

go 1.26
