-- Rows in the order of name and tag, each in one piece with its key.
--
-- KEYS[1]  the sorted set to walk: of a kind, or of a ref and a kind
-- ARGV     the prefix, the kind, the lower bound, the upper bound, limit, the highest number of a
--          row, or '' for any
--
-- Gives {where to go on or '', member, seq, body, refs, text, member, …}.

local prefix, kind, low, high = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local limit, upto = tonumber(ARGV[5]), tonumber(ARGV[6] or '')
local answer = {''}
local members = redis.call('ZRANGEBYLEX', KEYS[1], low, high, 'LIMIT', 0, limit)
for _, member in ipairs(members) do
  local row = prefix .. 'row:' .. kind .. '\0' .. member
  local found = redis.call('HMGET', row, 'seq', 'body', 'refs', 'text', 'doc')
  if found[1] and (not upto or tonumber(found[5]) <= upto) then
    answer[#answer + 1] = member
    answer[#answer + 1] = found[1]
    answer[#answer + 1] = found[2]
    answer[#answer + 1] = found[3]
    answer[#answer + 1] = found[4] or ''
  end
end
if #members == limit then
  answer[1] = members[#members]
end
return answer
