# What stands around notices. The sentences of the duties themselves stand in English in duties.
reminder = Not done yet: { $text }
ended = Done or over: { $text }
otherwise-label = If nothing is done
until-label = Until
told-label = Also told
told-people = { $count ->
    [one] one person by name
   *[other] { $count } people by name
 }
link-label = See it
inbox-hint = It is in your inbox: remit inbox.
no-right = This message carries no right: to act, sign in.
unsubscribe-label = No more e-mails of this kind
digest-subject = Remit: { $count ->
    [one] one notice
   *[other] { $count } notices
 }
code-subject = Remit: confirm this address
code-text = The code that confirms this address is { $code }. It is good for an hour. Whoever did not ask for it need do nothing.
unsubscribe-question = Shall no more e-mails of this kind be sent? They stay in the inbox.
unsubscribe-yes = Yes, no more
unsubscribe-done = No more e-mails of this kind are sent. The settings in Remit can change that.
unsubscribe-clock = On this the law or the constitution puts a clock: it cannot be switched off.
unsubscribe-wrong = This link is not whole. Please use it as it was sent.
